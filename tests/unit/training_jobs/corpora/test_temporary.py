"""Directories without a name: published whole, removed otherwise, and never taken from who still writes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.training_sets import write
from training_jobs.corpora.temporary import publish, unnamed

WRITER = "import sys; from pathlib import Path; from training_jobs.corpora.temporary import unnamed\n"
WRITER += "with unnamed(Path(sys.argv[1])) as work:\n    (work / 'text').touch()\n"
WRITER += "    print('there', flush=True)\n    sys.stdin.read()"


def test_what_is_published_has_its_name_and_the_rest_is_gone(tmp_path: Path) -> None:
    for publishing in (True, False):
        with unnamed(tmp_path) as work:
            write(work / "a", "1")
            if publishing:
                publish(work, tmp_path / "named")
    assert [path.name for path in tmp_path.iterdir()] == ["named"]
    assert (tmp_path / "named/a").read_text() == "1"


def test_of_two_that_publish_the_same_the_first_stays(tmp_path: Path) -> None:
    for text in "12":
        with unnamed(tmp_path) as work:
            write(work / "a", text)
            publish(work, tmp_path / "named")
    assert (tmp_path / "named/a").read_text() == "1"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_name_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "named", "1")
    with unnamed(tmp_path) as work, pytest.raises(OSError, match="directory"):
        publish(work, tmp_path / "named")


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        (theirs,) = tmp_path.iterdir()
        with unnamed(tmp_path):
            assert theirs.is_dir()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert theirs.is_dir()
    with unnamed(tmp_path):
        assert not theirs.exists()
