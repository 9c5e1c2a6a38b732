"""TensorBoard's files: every value of every step, no name of this host, and a new file after a resume."""

import math
import socket
import struct
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog

from training_jobs.reporting.board import Board


def events(file: Path) -> list[Any]:
    """The records of an event file (TFRecord: length, its checksum, bytes, their checksum)."""
    raw, found = file.read_bytes(), []
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        found.append(Event.FromString(raw[12 : 12 + length]))
        raw = raw[16 + length :]
    return found


def values(out: Path) -> list[tuple[int, str, float]]:
    return [
        (event.step, value.tag, value.simple_value)
        for file in sorted((out / "tensorboard").iterdir())
        for event in events(file)
        for value in event.summary.value
    ]


def test_every_value_is_written_under_its_name(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        board.note(1, {"loss": 2.5, "lr": 0.5})
        board.note(2, {"held_out": 2.0, "swapped": 3.0, "something": 7.0})
    assert values(tmp_path) == [
        (1, "loss/train", 2.5),
        (1, "learning_rate", 0.5),
        (2, "loss/held_out", 2.0),
        (2, "loss/held_out__images_swapped", 3.0),
        (2, "something", 7.0),
    ]


def test_a_run_without_a_step_writes_no_file(tmp_path: Path) -> None:
    Board(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_no_file_names_this_host(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        board.note(1, {"loss": 1.0})
    [file] = (tmp_path / "tensorboard").iterdir()
    assert "tfevents" in file.name
    assert socket.gethostname() not in file.name + file.read_bytes().decode(errors="replace")


def test_a_resumed_run_voids_the_later_steps_of_the_file_before(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        board.note(1, {"loss": 1.0})
    with Board(tmp_path) as board:
        board.note(51, {"loss": 1.0})
    starts = [
        [event.step for event in events(file) if event.session_log.status == SessionLog.START]
        for file in sorted((tmp_path / "tensorboard").iterdir())
    ]
    assert starts == [[1], [51]]


def test_what_is_no_number_is_written_as_such(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        board.note(1, {"loss": math.nan})
    assert math.isnan(values(tmp_path)[0][2])


def test_steps_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.note(1, {"loss": 1.0})
    assert values(tmp_path)
    board.close()


def test_texts_are_shown_as_texts(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        board.texts(9, {"example 1": "Findings: none."})
    [file] = (tmp_path / "tensorboard").iterdir()
    [value] = [value for event in events(file) for value in event.summary.value]
    assert value.tensor.string_val == [b"Findings: none."]


def test_texts_at_the_end_void_no_step(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        board.texts(9, {"example 1": "Findings: none."})
    [file] = (tmp_path / "tensorboard").iterdir()
    assert not [event for event in events(file) if event.HasField("session_log")]
