"""What a server's refusal says of a key."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from xraygpt_core.errors import ObjectMissing, Unavailable
from xraygpt_core.s3_client import translated


def refusing(code: str) -> Any:
    def call() -> None:
        raise ClientError({"Error": {"Code": code, "Message": "in/../DOE.dcm"}}, "HeadObject")

    return call


@pytest.mark.parametrize("key", ["a/../b", "..", "a/./b", "./a", "..\\b", "a/\\../b"])
@pytest.mark.parametrize("code", ["400", "InvalidRequest"])
def test_a_key_with_steps_that_is_refused_names_nothing(key: str, code: str) -> None:
    with pytest.raises(ObjectMissing) as told:
        translated(refusing(code), key)
    assert "DOE" not in str(told.value)


@pytest.mark.parametrize(("key", "code"), [("a..b/.c", "400"), ("a/../b", "AccessDenied"), ("a/../b", "503")])
def test_another_refusal_is_no_word_on_the_object(key: str, code: str) -> None:
    with pytest.raises(Unavailable):
        translated(refusing(code), key)


def test_a_server_that_has_such_a_key_is_believed() -> None:
    assert translated(lambda: "film", "a/../b") == "film"
