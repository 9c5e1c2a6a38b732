"""Log lines: one JSON object each, on stderr, with opaque ids only.

Patient data must not reach a log (bucket keys and file names are patient data too), so this module lets through what
is known to be harmless and nothing else:

- our own loggers write a constant sentence and put what varies into ``extra``; only the names in :data:`FIELDS` pass,
  any other is refused and its *name* is listed under ``refused``;
- arguments of a message are replaced by ``…`` unless they are numbers, because they may quote a key or a value. The
  few loggers in :data:`OPEN_LOGGERS`, which speak of addresses and task ids only, keep theirs;
- an exception is logged as its class and its stack of ``file:line function``, never with its message: database and
  codec errors quote values.
"""

import json
import logging
import sys
import threading
import traceback
import warnings
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO
from uuid import UUID

OPEN_LOGGERS = ("uvicorn.error", "celery.apps", "celery.worker", "celery.beat", "celery.redirected", "alembic")

# What `extra` may carry. Each is an opaque id, a word of xraygpt_core.states, a number, or a name of our own; `said` is
# a line of a training job, which sees no patient of this installation.
FIELDS = frozenset(
    """
    job_id image_id study_id summary_id turn_id run_id backlog_id object_id
    kind lane state reason reason_code stage flag revision epoch attempts worker queue process service
    bundle bundle_sha256 template device method route status source result buckets error code exit_code signal pid port
    layers missing
    count total queued requeued rung swept lost held done dead step steps loss batch_size tokens bytes
    seconds waited_seconds generate_seconds rate version schema address position digest said
    """.split()  # noqa: SIM905  # a table of words reads better than sixty quoted ones
)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
_OURS = ("xraygpt", "xraygpt_core", "api_gateway", "workers", "training_jobs", "migrations", "__main__")
# These explain themselves in DEBUG and INFO lines that quote URLs, keys, headers and statements.
_TALKATIVE = frozenset({
    "boto3", "botocore", "s3transfer", "urllib3", "httpx", "httpcore", "sqlalchemy", "psycopg2", "PIL", "pydicom",
})  # fmt: skip


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON that holds nothing but what the module's rules let through."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self.process,
            "logger": record.name,
            "message": _message(record),
        }
        refused = []
        for name, value in vars(record).items():
            if name in _STANDARD:
                continue
            if name in FIELDS:
                line[name] = value if isinstance(value, bool | int | float | None) else str(value)
            elif record.name.partition(".")[0] in _OURS:
                refused.append(name)
        if refused:
            line["refused"] = sorted(refused)
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line)  # ASCII alone: no letter in it ends a line or steers a terminal


def configure_logging(level: str, process: str) -> None:
    """Send every log line, warning and uncaught exception of this process to stderr in the form of this module.

    ``level`` is a name of :mod:`logging`; ``process`` names this one ("gateway", "ingest", "gpu" …). Call it once, from
    the entry point; a second call replaces the first.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Lines of libraries below INFO were not reviewed: a line may be built of a key or a value, not take it as an
    # argument. DEBUG is about ourselves.
    root.setLevel(max(logging.getLevelName(level.upper()), logging.INFO))
    for name in (*_OURS, *OPEN_LOGGERS):
        logging.getLogger(name).setLevel(level.upper())
    if level.upper() != "DEBUG":  # it says of each round, several a second, that it is due
        beat = logging.getLogger("celery.beat")
        beat.setLevel(max(beat.level, logging.WARNING))
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.showwarning = _log_warning
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _message(record: logging.LogRecord) -> str:
    if not record.args:
        return str(record.msg)
    if record.name.startswith(OPEN_LOGGERS):
        return record.getMessage()
    args: Any = record.args
    masked = {k: _mask(v) for k, v in args.items()} if isinstance(args, dict) else tuple(map(_mask, args))
    try:
        return str(record.msg) % masked
    except (TypeError, ValueError, KeyError):  # a format that needs what was masked
        return str(record.msg)


def _mask(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | UUID | None) else "…"


def _log_warning(
    message: Warning | str,  # left out: pydicom's warnings quote the value they warn about
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del message, file, line
    logging.getLogger("py.warnings").warning(
        "warning at %d", lineno, extra={"source": filename, "error": category.__name__}
    )


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("xraygpt").critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
