#!/bin/sh
# Starts the broker: `broker.sh COMMAND…`. The password goes through standard input, because any user of the host may
# read the arguments of a process. A full broker must refuse a message, never drop one: noeviction.
set -eu
password=$(cat "${SECRETS:-/run/secrets}/redis_password")
exec "$@" - <<END
requirepass $password
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
END
