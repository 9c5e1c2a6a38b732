#!/bin/sh
# New secrets for docker-compose.yml in place of old ones: `rotate-secrets.sh NAME [DIRECTORY]`, NAME being roles, reader,
# redis, bucket, webhook, flower, metrics or inside. It replaces files of deploy/secrets; afterwards
#   docker compose up --detach --force-recreate
# makes them count: services drain, and queued work waits. The owner's password is PostgreSQL's to change first:
#   docker compose exec postgres psql -U postgres   and there \password xraygpt; then owner_password and database_url
set -eu
deploy=$(cd "$(dirname "$0")" && pwd)
secrets=${2:-$deploy/secrets}
processes="gateway ingest gpu training control events"
each() { for process in $processes; do printf '%s ' "$1${process}$2"; done; }
case ${1:-} in
    roles) files="$(each "" _password) $(each "" _database_url)" ;;
    reader) files="reader_password reader_url" ;;
    redis) files="redis_password redis_url" ;;
    bucket) files="s3_access_key s3_secret_key $(each s3_ _access_key) $(each s3_ _secret_key)" ;;
    webhook | metrics) files="$1_token" ;;
    flower) files="flower_password" ;;
    inside) files="s3_inside.crt s3_inside.key" ;;
    *) echo "rotate-secrets.sh roles|reader|redis|bucket|webhook|flower|metrics|inside [DIRECTORY]" >&2; exit 2 ;;
esac
for file in $files; do
    rm -f "$secrets/$file"
done
sh "$deploy/make-secrets.sh" "$secrets"
