import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.settings.home import Home, hold, holder, make_key, running_stack


def test_a_data_directory_is_closed_to_other_users(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    home.create()
    for path in (home.root, home.run, home.log("x").parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_one_supervisor_holds_a_data_directory(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with hold(home):
        assert holder(home) == os.getpid()
        with pytest.raises(StackError, match=f"already runs in {tmp_path} \\(process {os.getpid()}\\)"), hold(home):
            pass
    assert holder(home) is None


def test_nobody_holds_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert holder(Home(tmp_path / "none")) is None


def test_the_lock_of_a_killed_supervisor_is_free(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from xraygpt.stack.settings.home import Home, hold\n"
        "with hold(Home(Path(sys.argv[1]))): print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert holder(Home(tmp_path)) == other.pid
        other.kill()
    assert holder(Home(tmp_path)) is None
    with hold(Home(tmp_path)):
        pass


def test_a_stale_stack_file_is_no_running_stack(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.stack_file.write_text(json.dumps({"gateway_url": "http://127.0.0.1:1"}))
    assert running_stack(home) is None
    with hold(home):
        assert running_stack(home) == {"gateway_url": "http://127.0.0.1:1"}


def test_a_stack_that_starts_is_not_running_yet(tmp_path: Path) -> None:
    with hold(Home(tmp_path)):
        assert running_stack(Home(tmp_path)) is None


def test_the_hmac_key_is_made_once_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "hmac.key"
    assert make_key(path)
    key = path.read_text().strip()
    assert len(bytes.fromhex(key)) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not make_key(path)
    assert path.read_text().strip() == key
