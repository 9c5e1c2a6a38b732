#!/bin/sh
# Makes what docker-compose.yml reads from deploy/secrets: passwords, keys, and the URLs that hold them. What exists is
# kept. `make-secrets.sh [DIRECTORY]` prints the line for .env that says who owns the files: our containers run as that
# user, and only that user may read them.
set -eu
umask 077
deploy=$(cd "$(dirname "$0")" && pwd)
secrets=${1:-$deploy/secrets}
mkdir -p "$secrets"
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { [ -e "$secrets/$1" ] || printf '%s' "$2" > "$secrets/$1"; }
said() { cat "$secrets/$1"; }

[ -e "$secrets/hmac.key" ] || echo "new pseudonymisation key $secrets/hmac.key: back it up now. Without it no" \
    "patient, study or accession number leads to its summary again." >&2
for name in hmac.key postgres_password reader_password redis_password s3_secret_key webhook_token flower_password; do
    keep "$name" "$(random)"
done
keep s3_access_key "$(random | cut -c 1-20)"
keep database_url "postgresql://xraygpt:$(said postgres_password)@postgres:5432/xraygpt"
keep reader_url "postgresql://xraygpt_reader:$(said reader_password)@postgres:5432/xraygpt"
keep redis_url "redis://:$(said redis_password)@redis:6379/0"

user=$(id -u) group=$(id -g)
if [ "$user" -eq 0 ]; then # nothing of ours runs as root
    user=10001 group=10001
    chown -R "$user:$group" "$secrets"
fi
echo "RUN_AS=$user:$group"
