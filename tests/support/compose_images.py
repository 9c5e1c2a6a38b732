"""What is inside the images that docker-compose.yml names, as far as its commands need it, for tests without an engine.

Of our own image: the environment, folders and files of deploy/Dockerfile. Of other people's: what their makers
document, with the programs of the wheels of the same versions; their entry points and clients are programs of ours.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.compose_file import ROOT
from xraygpt.stack.servers import broker, postgres, s3

Owner = tuple[int, int, int]  # user, group, mode
SYSTEM = "/usr/local/bin:/usr/bin:/bin"

# An empty PGDATA is initialised as POSTGRES_* say, and the scripts of /docker-entrypoint-initdb.d are run once.
POSTGRES_ENTRYPOINT = """#!/bin/sh
set -eu
mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --no-sync --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS >/dev/null
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    export PGHOST=/var/run/postgresql PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")"
    pg_ctl --options="-c listen_addresses= -c unix_socket_directories=$PGHOST" --wait start >/dev/null
    for script in /docker-entrypoint-initdb.d/*; do
        if [ -x "$script" ]; then "$script"; else . "$script"; fi
    done
    pg_ctl --mode=fast --wait stop >/dev/null
    unset PGHOST PGPASSWORD
fi
exec "$@" -clisten_addresses=* -cunix_socket_directories=/var/run/postgresql
"""
VALKEY_CLI = """#!{python}
import os, redis
assert redis.Redis(password=os.environ["REDISCLI_AUTH"]).ping()
print("PONG")
"""
# Asks each target of its configuration once, with its credentials, and says what came of it; then it is healthy.
PROMETHEUS = """#!{python}
import http.server, pathlib, signal, sys, time, urllib.request, yaml
def leave(*_): raise SystemExit(0)
signal.signal(signal.SIGTERM, leave)
options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
config = yaml.safe_load(pathlib.Path(options["config.file"]).read_text())
assert all(pathlib.Path(rules).is_file() for rules in config["rule_files"])
pathlib.Path(options["storage.tsdb.path"], "lock").write_text("here")
for job in config["scrape_configs"]:
    token = pathlib.Path(job["authorization"]["credentials_file"]).read_text().strip()
    targets = [one for static in job.get("static_configs", ()) for one in static["targets"]]
    targets += [f"{{name}}:{{dns['port']}}" for dns in job.get("dns_sd_configs", ()) for name in dns["names"]]
    for target in targets:
        request = urllib.request.Request(f"http://{{target}}/metrics", headers={{"Authorization": f"Bearer {{token}}"}})
        try:
            says = "xraygpt_" in urllib.request.urlopen(request, timeout=20).read().decode()
        except OSError as error:
            says = error
        print(target, says, flush=True)
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/-/healthy" else 404)
        self.end_headers()
http.server.HTTPServer(("0.0.0.0", 9090), Healthy).serve_forever()
"""


@dataclass
class Image:
    """``programs``: text of files, or what a link leads to, by path; ``folders``: who may write there."""

    environment: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str | Path] = field(default_factory=dict)
    folders: dict[str, Owner] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    workdir: str = "/"


def images() -> dict[str, Image]:
    """By the name of the service, or ``ours``."""
    python = Path(sys.executable)
    tools = postgres.program("postgres").parent
    return {
        "postgres": Image(
            {"PATH": f"{SYSTEM}:{tools}", "PGDATA": "/var/lib/postgresql/18/docker", "LANG": "C.UTF-8"},
            {"/usr/local/bin/docker-entrypoint.sh": POSTGRES_ENTRYPOINT},
            {"/var/lib/postgresql": (999, 999, 0o1777)},
            ["docker-entrypoint.sh"],
        ),
        "redis": Image(
            {"PATH": SYSTEM},
            {
                "/usr/local/bin/valkey-server": broker.program(),
                "/usr/local/bin/valkey-cli": VALKEY_CLI.format(python=python),
            },
            {"/data": (999, 999, 0o1777)},
            workdir="/data",
        ),
        "s3": Image({"PATH": SYSTEM}, {"/usr/local/bin/weed": s3.program()}, {"/data": (1000, 1000, 0o755)}),
        "prometheus": Image(
            {"PATH": SYSTEM},
            {"/usr/local/bin/prometheus": PROMETHEUS.format(python=python)},
            {"/prometheus": (65534, 65534, 0o755)},
            ["prometheus"],
            "/prometheus",
        ),
        "ours": _ours(python),
    }


def _ours(python: Path) -> Image:
    """deploy/Dockerfile: its ENV, its COPY of files, and the environment of Python under its name there."""
    text = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (PATH=.*)$", text, re.MULTILINE)
    environment = dict(pair.split("=", 1) for pair in line.split())
    environment["PATH"] = environment["PATH"].replace("$PATH", SYSTEM)
    programs: dict[str, str | Path] = {"/opt/venv": python.parents[1]}
    for sources, target in re.findall(r"^COPY --chmod=\S+ (.+) (\S+)$", text, re.MULTILINE):
        for source in sources.split():
            name = target + Path(source).name if target.endswith("/") else target
            programs[name] = (ROOT / source).read_text()
    folders = {"/models": (0, 0, 0o1777), "/scratch": (0, 0, 0o1777)}
    return Image(environment, programs, folders, ["entrypoint.sh"], "/scratch")
