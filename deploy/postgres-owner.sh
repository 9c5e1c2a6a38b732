#!/bin/sh
# Run once by PostgreSQL's image, on an empty data directory: the role that owns our database. It is no superuser, and may
# limit what a query of the analysts' role writes to disk.
set -eu
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres --quiet <<END
\\set password \`cat "${SECRETS:-/run/secrets}/owner_password"\`
CREATE ROLE xraygpt LOGIN CREATEROLE CREATEDB PASSWORD :'password';
CREATE DATABASE xraygpt OWNER xraygpt;
GRANT SET ON PARAMETER temp_file_limit TO xraygpt;
END
