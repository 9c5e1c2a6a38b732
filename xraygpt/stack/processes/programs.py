"""The programs of the one-machine stack: what is run once at each start, and what is kept running."""

import sys

PYTHON = sys.executable
ONCE = {
    "migrations": [PYTHON, "-m", "migrations"],
    "begin-rotation": [PYTHON, "-m", "workers.rotate", "--begin"],
    "create-key": [PYTHON, "-m", "api_gateway", "create-key", "--name", "local", "--both"],
}
PROGRAMS = {
    "gateway": [PYTHON, "-m", "api_gateway"],
    "ingest": [PYTHON, "-m", "workers", "ingest"],
    "gpu": [PYTHON, "-m", "workers", "gpu"],
    "training": [PYTHON, "-m", "workers", "training"],
    "control": [PYTHON, "-m", "workers", "control"],
    "flower": [PYTHON, "-m", "xraygpt.stack.servers.flower"],
}
WORKERS = ("ingest", "gpu", "training", "control")
# Only where the bucket tells an SQS queue, which XRAYGPT_SQS_QUEUE_URL names.
EVENTS = {"events": [PYTHON, "-m", "workers", "events"]}
NAMES = ("postgres", "broker", "s3", *PROGRAMS, "supervisor")
