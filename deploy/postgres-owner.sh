#!/bin/sh
# Run once by PostgreSQL's image, on an empty data directory: the role that owns our database, which is no superuser, may
# limit what a query of the analysts' role writes to disk, and has to itself what PostgreSQL lets every role do.
set -eu
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres --quiet <<END
\\set password \`cat "${SECRETS:-/run/secrets}/owner_password"\`
CREATE ROLE xraygpt LOGIN CREATEROLE CREATEDB PASSWORD :'password';
CREATE DATABASE xraygpt OWNER xraygpt;
GRANT SET ON PARAMETER temp_file_limit TO xraygpt;
\\connect xraygpt
\\include ${SUPERUSER_SQL:-/superuser.sql}
END
