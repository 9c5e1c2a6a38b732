"""What a process is given of the shell's environment and of the stack's secrets."""

import pytest

from xraygpt.stack.processes.programs import ONCE, PROGRAMS
from xraygpt.stack.settings.environments import SECRETS_OF, environment_of, system
from xraygpt_core.logins import PROCESSES

SHELL = {
    "PATH": "/bin",
    "LC_ALL": "C",
    "https_proxy": "http://proxy",
    "CUDA_VISIBLE_DEVICES": "0",
    "HF_HOME": "/models",
    "AWS_PROFILE": "hospital",
    "GITHUB_TOKEN": "secret",
    "PGPASSWORD": "secret",
    "XRAYGPT_LEASE_SECONDS": "6",
    "XRAYGPT_NO_SUCH_SETTING": "x",
    "XRAYGPT_HMAC_KEY": "secret",
    "XRAYGPT_VLLM_KEY": "secret",
    "XRAYGPT_SERVER_KEY": "secret",
    "XRAYGPT_SERVER_KEY_RADIOLOGY": "secret",
}
KEYS = {"XRAYGPT_S3_ACCESS_KEY": "a", "XRAYGPT_S3_SECRET_KEY": "s"}


def test_every_program_of_the_stack_has_its_line() -> None:
    assert set(SECRETS_OF) == {*ONCE, *PROGRAMS, "events"}
    assert set(PROCESSES) <= set(SECRETS_OF)


@pytest.mark.parametrize("process", SECRETS_OF)
def test_what_nobody_named_is_not_passed_on(process: str) -> None:
    given = environment_of(process, SHELL, KEYS)
    assert {"PATH", "LC_ALL", "https_proxy"} <= set(given)
    assert not {"GITHUB_TOKEN", "PGPASSWORD", "XRAYGPT_NO_SUCH_SETTING"} & set(given)
    assert ("XRAYGPT_LEASE_SECONDS" in given) == (process != "flower")
    assert ("CUDA_VISIBLE_DEVICES" in given) == ("HF_HOME" in given) == (process in {"gpu", "training"})
    assert ("XRAYGPT_HMAC_KEY" in given) == (process in {"gateway", "ingest", "begin-rotation"})
    for key in ("XRAYGPT_VLLM_KEY", "XRAYGPT_SERVER_KEY", "XRAYGPT_SERVER_KEY_RADIOLOGY"):
        assert (key in given) == (process == "gpu")


def test_the_search_for_aws_credentials_is_for_buckets_without_keys_and_for_the_queue() -> None:
    assert "AWS_PROFILE" in environment_of("ingest", SHELL, {})
    assert "AWS_PROFILE" not in environment_of("ingest", SHELL, KEYS)
    assert "AWS_PROFILE" in environment_of("events", SHELL, KEYS)
    assert "AWS_PROFILE" not in environment_of("flower", SHELL, {})


def test_a_server_that_is_not_ours_gets_no_setting_of_ours() -> None:
    assert set(system(SHELL)) == {"PATH", "LC_ALL", "https_proxy"}


def test_who_seals_the_hospitals_words_has_no_key_that_opens_them() -> None:
    shell = {
        "XRAYGPT_CLINICAL_KEY_FILE": "key",
        "XRAYGPT_CLINICAL_OLD_KEY": "old",
        "XRAYGPT_CLINICAL_SEALING_HALF": "h",
    }
    given = {process: environment_of(process, shell, KEYS).keys() & shell.keys() for process in SECRETS_OF}
    assert given.pop("gpu") == {"XRAYGPT_CLINICAL_KEY_FILE", "XRAYGPT_CLINICAL_OLD_KEY"}
    assert given.pop("gateway") == given.pop("ingest") == {"XRAYGPT_CLINICAL_SEALING_HALF"}
    assert not any(given.values())
