#!/bin/sh
# Every secret that is named like a setting becomes that setting; then the command takes the place of this process.
set -eu
for file in "${SECRETS:-/run/secrets}"/XRAYGPT_*; do
    [ -e "$file" ] || continue # the pattern itself: there is none
    value=$(cat "$file")
    export "$(basename "$file")=$value"
done
exec "$@"
