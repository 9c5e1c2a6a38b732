#!/bin/sh
# Makes what docker-compose.yml reads from deploy/secrets: passwords, keys, and the URLs that hold them. What exists is
# kept. `make-secrets.sh [DIRECTORY]` prints the line for .env that says who owns the files: our containers run as that
# user, and only that user may read them.
set -eu
umask 077
deploy=$(cd "$(dirname "$0")" && pwd)
secrets=${1:-$deploy/secrets}
mkdir -p "$secrets"
chmod 0700 "$secrets" # what lies in it may be readable: for servers that run as users of their own
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { [ -e "$secrets/$1" ] || printf '%s' "$2" > "$secrets/$1"; }
secret() { cat "$secrets/$1"; }

[ -e "$secrets/hmac.key" ] || echo "new pseudonymisation key $secrets/hmac.key: back it up now. Without it no" \
    "patient, study or accession number leads to its summary again." >&2
# Of a version before there were roles: the one password there was is the owner's, and its address is kept.
if [ -e "$secrets/database_url" ] && [ ! -e "$secrets/owner_password" ]; then
    cp "$secrets/postgres_password" "$secrets/owner_password"
fi
for name in hmac.key postgres_password owner_password reader_password redis_password s3_secret_key webhook_token \
    flower_password grafana_password metrics_token; do
    keep "$name" "$(random)"
done
keep s3_access_key "$(random | cut -c 1-20)"
keep database_url "postgresql://xraygpt:$(secret owner_password)@postgres:5432/xraygpt"
keep reader_url "postgresql://xraygpt_reader:$(secret reader_password)@postgres:5432/xraygpt"
keep redis_url "redis://:$(secret redis_password)@redis:6379/0"
# Each process of ours: a role in the database, and an identity at the bucket.
for process in gateway ingest gpu training control events; do
    keep "${process}_password" "$(random)"
    keep "${process}_database_url" "postgresql://xraygpt_$process:$(secret "${process}_password")@postgres:5432/xraygpt"
    keep "s3_${process}_access_key" "$(random | cut -c 1-20)"
    keep "s3_${process}_secret_key" "$(random)"
done

# SeaweedFS's servers show this certificate to each other, and let in no other client: it is its own authority. It is made
# anew, with 800 days, once less than 400 are left; restart s3 then.
command -v openssl > /dev/null || { echo "make-secrets.sh needs openssl" >&2; exit 1; }
inside=$secrets/s3_inside
openssl x509 -checkend 34560000 -noout -in "$inside.crt" > /dev/null 2>&1 || {
    rm -f "$inside.key" "$inside.crt"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 800 -subj /CN=SeaweedFS \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$inside.key" -out "$inside.crt" 2> /dev/null
}

# Images of other people run as users of their own: what they read is open to all who get as far as this directory, and
# in a container only what it is given is there.
for name in postgres_password owner_password redis_password webhook_token metrics_token grafana_password reader_password
do
    chmod 0444 "$secrets/$name"
done
chmod 0444 "$secrets"/s3_*

user=$(id -u) group=$(id -g)
if [ "$user" -eq 0 ]; then # nothing of ours runs as root
    user=10001 group=10001
    chown -R "$user:$group" "$secrets"
fi
echo "RUN_AS=$user:$group"
