"""The migrations as files and as a command, without a database."""

import pytest
from alembic.script import ScriptDirectory

from migrations.__main__ import main
from migrations.upgrade import config, head
from xraygpt_core.models import SCHEMA_VERSION, metadata


def test_history_is_one_line_and_ends_where_the_code_is() -> None:
    scripts = ScriptDirectory.from_config(config())
    assert scripts.get_heads() == [head()] == [SCHEMA_VERSION]
    assert len(scripts.get_bases()) == 1


def test_the_command_says_which_setting_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("XRAYGPT_DATABASE_URL", raising=False)
    assert main() == 1
    assert "XRAYGPT_DATABASE_URL is missing" in capsys.readouterr().err


def test_the_command_says_that_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XRAYGPT_DATABASE_URL", "postgresql://nobody:x@127.0.0.1:1/none")
    assert main() == 1
    assert "PostgreSQL does not answer" in capsys.readouterr().err


def test_bucket_keys_stand_in_one_table_and_prefixes_in_one_more() -> None:
    holders = {
        table.name
        for table in metadata.tables.values()
        if {"key", "prefix"} & {column.name for column in table.columns}
    }
    opaque = {"jobs", "training_features", "training_files"}  # their keys are made of opaque ids, in the derived bucket
    assert holders == {"object_keys", "backlogs"} | opaque
