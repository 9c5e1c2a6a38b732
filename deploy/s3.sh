#!/bin/sh
# Starts SeaweedFS in the current directory, which should be empty and in memory: `s3.sh OPTION…`. Its filer tells the
# gateway what comes and goes in the source bucket.
set -eu
secrets=${SECRETS:-/run/secrets}
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

AWS_ACCESS_KEY_ID=$(cat "$secrets/s3_access_key")
AWS_SECRET_ACCESS_KEY=$(cat "$secrets/s3_secret_key")
# Without these the filer serves every object on its own port to whoever reaches it.
WEED_JWT_SIGNING_KEY=$(random)
WEED_JWT_FILER_SIGNING_KEY=$(random)
WEED_JWT_FILER_SIGNING_READ_KEY=$WEED_JWT_FILER_SIGNING_KEY
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export WEED_JWT_SIGNING_KEY WEED_JWT_FILER_SIGNING_KEY WEED_JWT_FILER_SIGNING_READ_KEY

umask 077
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

exec weed -logtostderr=true mini \
    -ip=127.0.0.1 -ip.bind=0.0.0.0 \
    -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false -s3.autoCreateBucket=false \
    -webdav=false -admin.ui=false -master.telemetry=false \
    -filer.disableDirListing=true -filer.exposeDirectoryData=false \
    "$@" > log 2>&1
