#!/bin/sh
# Starts SeaweedFS in the current directory, which should be empty and in memory: `s3.sh OPTION…`. Its filer tells the
# gateway what comes and goes in the source bucket. SeaweedFS's own interfaces ask for a certificate that only this
# process has; with S3_TLS=true S3 itself speaks HTTPS, with the secrets s3.crt and s3.key.
set -eu
secrets=${SECRETS:-/run/secrets}
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
export TMPDIR="$PWD"

# It goes on without TLS where it cannot read a certificate for gRPC, and does not where it cannot for HTTPS.
certificate=$secrets/s3_inside.crt key=$secrets/s3_inside.key
grep -q BEGIN "$certificate" "$key" || { echo "s3: run deploy/make-secrets.sh: it makes s3_inside.crt" >&2; exit 1; }
for part in GRPC_MASTER GRPC_VOLUME GRPC_FILER GRPC_S3 GRPC_ADMIN GRPC_WORKER GRPC_CLIENT \
    HTTPS_MASTER HTTPS_VOLUME HTTPS_FILER HTTPS_ADMIN HTTPS_CLIENT; do
    export "WEED_${part}_CERT=$certificate" "WEED_${part}_KEY=$key" "WEED_${part}_CA=$certificate"
done
export "WEED_GRPC_CA=$certificate" WEED_HTTPS_CLIENT_ENABLED=true
for token in SIGNING SIGNING_READ FILER_SIGNING FILER_SIGNING_READ; do
    export "WEED_JWT_${token}_KEY=$(random)"
done

# The identities' keys reach it through its environment, which the file names.
S3_OWNER_ACCESS_KEY=$(cat "$secrets/s3_access_key")
S3_OWNER_SECRET_KEY=$(cat "$secrets/s3_secret_key")
export S3_OWNER_ACCESS_KEY S3_OWNER_SECRET_KEY
for identity in gateway ingest gpu training control events; do
    name=S3_$(printf '%s' "$identity" | tr '[:lower:]' '[:upper:]')
    access_key=$(cat "$secrets/s3_${identity}_access_key")
    secret_key=$(cat "$secrets/s3_${identity}_secret_key")
    export "${name}_ACCESS_KEY=$access_key" "${name}_SECRET_KEY=$secret_key"
done
sed "s/SOURCE_BUCKET/$WEBHOOK_BUCKET/g; s/DERIVED_BUCKET/$DERIVED_BUCKET/g" "${0%/*}/s3-identities.json" > identities.json

cat > notification.toml <<END
[notification.webhook]
enabled = true
endpoint = "$WEBHOOK_URL"
bearer_token = "$(cat "$secrets/webhook_token")"
event_types = ["create", "update", "delete", "rename"]
path_prefixes = ["/buckets/$WEBHOOK_BUCKET/"]
max_retries = 10
backoff_seconds = 1
workers = 2
END

# Most of its log lines name object keys, which may name patients. Kept: fatal errors, and which part is ready.
rm -f log
mkfifo log
while IFS= read -r line; do
    case $line in F[0-9][0-9][0-9][0-9]* | "  Master "* | "  Volume "* | "  Filer "* | "  S3 "*) printf '%s\n' "$line" ;; esac
done < log &

# A deleted object's bytes stay in its volume until the volume is written anew: what was purged must leave the disk.
compact="volume.vacuum -collection=$DERIVED_BUCKET -garbageThreshold=0.000001"
while sleep "${COMPACT_SECONDS:-300}" && kill -0 $$; do
    printf 'lock\n%s\nunlock\n' "$compact" |
        weed shell "-master=${MASTER:-127.0.0.1:9333.19333}" "-filer=${FILER:-127.0.0.1:8888.18888}" || :
done > /dev/null 2>&1 &

if [ "${S3_TLS:-}" = true ]; then
    set -- "-s3.cert.file=$secrets/s3.crt" "-s3.key.file=$secrets/s3.key" "$@"
fi
exec weed -logtostderr=true mini \
    -ip=127.0.0.1 -ip.bind=0.0.0.0 -disableHttp=true \
    -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false -s3.autoCreateBucket=false -s3.config=identities.json \
    -webdav=false -admin.ui=false -master.telemetry=false -volume.preStopSeconds=0 \
    -filer.disableDirListing=true -filer.exposeDirectoryData=false \
    -filer.localSocket=filer.sock -s3.localSocket=s3.sock \
    "$@" > log 2>&1
