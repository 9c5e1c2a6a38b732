"""What may and what may not appear in a log line."""

import ast
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from xraygpt_core.logs import FIELDS, JsonLines, configure_logging

CANARY = "DOE^JANE"
PACKAGES = ("xraygpt_core", "api_gateway", "workers", "training_jobs", "migrations", "xraygpt")


@pytest.fixture(autouse=True)
def _logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook, warnings.showwarning)
    levels = {
        name: logger.level for name, logger in root.manager.loggerDict.items() if isinstance(logger, logging.Logger)
    }
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook, warnings.showwarning = hooks
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


def line(
    name: str = "workers.ingest", message: str = "claimed", args: object = (), **extra: object
) -> dict[str, object]:
    record = logging.getLogger(name).makeRecord(name, logging.INFO, "f.py", 1, message, args, None, extra=extra)  # type: ignore[arg-type]
    return dict(json.loads(JsonLines("ingest").format(record)))


def test_a_line_is_json_that_says_who_when_and_what() -> None:
    job = uuid4()
    said = line(job_id=job, epoch=3)
    assert said["process"] == "ingest"
    assert said["level"] == "INFO"
    assert said["logger"] == "workers.ingest"
    assert said["message"] == "claimed"
    assert said["job_id"] == str(job)
    assert said["epoch"] == 3
    assert str(said["time"]).endswith("+00:00")


@pytest.mark.parametrize(("level", "clock"), [("INFO", False), ("DEBUG", True), ("ERROR", False)])
def test_the_clock_speaks_of_its_rounds_at_debug_alone(level: str, clock: bool) -> None:
    configure_logging(level, "control")
    beat = logging.getLogger("celery.beat")
    assert beat.isEnabledFor(logging.INFO) == clock
    assert beat.isEnabledFor(logging.WARNING) == (level != "ERROR")


def test_an_unknown_field_is_refused_and_only_its_name_is_told() -> None:
    said = line(patient_name=CANARY, key="a/b.dcm", epoch=1)
    assert said["refused"] == ["key", "patient_name"]
    assert CANARY not in json.dumps(said)
    assert "a/b.dcm" not in json.dumps(said)


def test_text_arguments_of_a_message_are_masked() -> None:
    assert line(message="read %s in %d ms", args=(CANARY, 12))["message"] == "read … in 12 ms"


def test_named_arguments_of_a_message_are_masked() -> None:
    assert line(message="task %(name)s raised", args=({"name": CANARY},))["message"] == "task … raised"


def test_a_format_that_cannot_take_the_mask_is_shown_unfilled() -> None:
    assert line(message="took %d of it", args=(CANARY,))["message"] == "took %d of it"


def test_other_peoples_loggers_are_masked_too() -> None:
    said = line(name="pydicom", message="invalid value %r", args=(CANARY,), data=CANARY)
    assert CANARY not in json.dumps(said)
    assert "refused" not in said


def test_a_server_may_say_its_address() -> None:
    said = line(name="uvicorn.error", message="running on %s:%d", args=("127.0.0.1", 80))
    assert said["message"] == "running on 127.0.0.1:80"


def test_an_exception_is_its_class_and_its_place_but_not_its_message() -> None:
    try:
        int(CANARY)
    except ValueError:
        record = logging.getLogger("workers").makeRecord("workers", 40, "f", 1, "failed", (), sys.exc_info())
    said = json.loads(JsonLines("gpu").format(record))
    assert said["error"] == "ValueError"
    assert "test_logs.py" in said["trace"][0]
    assert CANARY not in json.dumps(said)


def test_configured_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "control")
    logging.getLogger("workers.control").info("ticked", extra={"count": 2})
    logging.getLogger("workers.control").debug("not this one")
    captured = capsys.readouterr()
    assert captured.out == ""
    (said,) = map(json.loads, captured.err.splitlines())
    assert (said["process"], said["count"]) == ("control", 2)


def test_libraries_that_quote_urls_are_quiet_even_in_debug(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug", "ingest")
    logging.getLogger("botocore.endpoint").debug("GET /bucket/DOE.dcm")
    assert capsys.readouterr().err == ""


def test_debug_is_about_ourselves_and_not_about_what_a_library_puts_into_its_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("debug", "gateway")
    logging.getLogger("some_library.http").debug(f"GET /{CANARY}")
    logging.getLogger("workers.ingest").debug("claimed")
    (only,) = capsys.readouterr().err.splitlines()
    assert json.loads(only)["message"] == "claimed"


def test_a_warning_is_logged_without_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("info", "ingest")
        warnings.warn("Invalid value for VR PN: " + CANARY, UserWarning, stacklevel=1)
    said = json.loads(capsys.readouterr().err)
    assert said["error"] == "UserWarning"
    assert said["source"].endswith("test_logs.py")
    assert CANARY not in json.dumps(said)


def test_an_uncaught_exception_is_logged_without_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "gateway")
    sys.excepthook(RuntimeError, RuntimeError(CANARY), None)
    said = json.loads(capsys.readouterr().err)
    assert (said["message"], said["error"]) == ("uncaught exception", "RuntimeError")
    assert CANARY not in json.dumps(said)


def test_ctrl_c_is_not_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "gateway")
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == ""


def test_an_exception_in_a_thread_is_logged_without_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "gateway")
    threading.excepthook(threading.ExceptHookArgs((ValueError, ValueError(CANARY), None, None)))
    assert CANARY not in capsys.readouterr().err


@pytest.mark.parametrize(
    "end", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[2K", "\x9b2K", "\u202e"]
)
def test_whatever_is_logged_is_one_line_that_steers_no_terminal(end: str) -> None:
    forged = f'words{end}{{"level": "CRITICAL", "message": "forged"}}'
    record = logging.getLogger("celery.worker").makeRecord(
        "celery.worker", logging.INFO, "f.py", 1, "%s", (forged,), None, extra={"said": forged}
    )
    text = JsonLines("training").format(record)
    assert len(text.splitlines()) == 1
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["said"] == forged


def test_every_field_that_the_source_logs_is_allowed() -> None:
    root = Path(__file__).parents[3]
    unknown = {
        f"{path.relative_to(root)}:{key.lineno} {key.value!r}"
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.keyword) and call.arg == "extra" and isinstance(call.value, ast.Dict)
        for key in call.value.keys
        if isinstance(key, ast.Constant) and key.value not in FIELDS
    }
    assert unknown == set()
