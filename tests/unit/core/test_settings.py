"""Settings: read once from the environment, and one clear sentence for what is missing or impossible."""

import os
from pathlib import Path

import pytest

from tests.support.keys import HMAC_KEY
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.settings import Settings, load_settings

GOOD = {
    "XRAYGPT_DATABASE_URL": "postgresql://u:secret-word@localhost/x",
    "XRAYGPT_REDIS_URL": "redis://localhost",
    "XRAYGPT_BUCKET": "source",
    "XRAYGPT_DERIVED_BUCKET": "derived",
    "XRAYGPT_HMAC_KEY": HMAC_KEY,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("XRAYGPT_")]:
        monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("XRAYGPT_WINDOW", "7")
    found = load_settings()
    assert (found.bucket, found.window, found.redis_url.get_secret_value()) == ("source", 7, "redis://localhost")


@pytest.mark.parametrize("name", [name for name in GOOD if name != "XRAYGPT_HMAC_KEY"])
def test_a_missing_setting_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


def test_everything_that_is_wrong_is_said_at_once_in_one_line(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("XRAYGPT_WINDOW", "0")
    environment.setenv("XRAYGPT_LEASE_SECONDS", "soon")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    said = str(caught.value)
    assert "XRAYGPT_WINDOW" in said
    assert "XRAYGPT_LEASE_SECONDS" in said
    assert "\n" not in said


def test_no_secret_is_told_when_a_setting_is_wrong(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("XRAYGPT_GATEWAY_PORT", "99999")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "secret-word" not in str(caught.value)
    environment.delenv("XRAYGPT_GATEWAY_PORT")
    assert "secret-word" not in repr(load_settings())


def test_one_name_for_both_buckets_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("XRAYGPT_DERIVED_BUCKET", "source")
    with pytest.raises(ConfigurationError, match="two different buckets"):
        load_settings()


def test_the_key_is_given_in_one_way_at_most(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("XRAYGPT_HMAC_KEY_FILE", "/somewhere/key")
    with pytest.raises(ConfigurationError, match="one of XRAYGPT_HMAC_KEY_FILE and XRAYGPT_HMAC_KEY, not both"):
        load_settings()
    environment.delenv("XRAYGPT_HMAC_KEY")
    assert load_settings().hmac_key_file == Path("/somewhere/key")
    environment.delenv("XRAYGPT_HMAC_KEY_FILE")
    assert load_settings().hmac_key is None  # most processes need none


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XRAYGPT_LEASE_SECONDS", "0"),
        ("XRAYGPT_MAX_ATTEMPTS", "0"),
        ("XRAYGPT_RETRY_SECONDS", "-1"),
        ("XRAYGPT_RETENTION_DAYS", "-1"),
        ("XRAYGPT_BATCH_SIZE", "0"),
        ("XRAYGPT_DECODE_MEMORY_BYTES", "1"),
    ],
)
def test_an_impossible_number_stops_the_process(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sentinel://:secret-word@a:26379", "Sentinel is not supported"),
        ("redis+sentinel://a:26379/mymaster/0", "Sentinel is not supported"),
        ("sentinel://a:26379;sentinel://b:26379", "Sentinel is not supported"),
        ("redis://a:1;redis://b:1", "Sentinel is not supported"),
        ("127.0.0.1:6379/0", "must look like redis://"),
        ("localhost", "must look like redis://"),
        ("redis:/127.0.0.1:6379/0", "must look like redis://"),
        ("unix:///run/redis.sock", "must look like redis://"),
        ("http://broker:6379", "must look like redis://"),
        ("redis://:secret-word/x@broker:6379/0", "%2F"),
        ("redis://:secret-word#x@broker:6379/0", "%23"),
        ("redis://:secret-word?x@broker:6379/0", "%3F"),
        ("redis://:secret-word@broker:port/0", "host and port"),
        ("redis://broker:0/0", "host and port"),
        ("redis://:6379", "host and port"),
        ("redis://broker:6379/films", "number of a database"),
        ("redis://broker:6379/0/", "number of a database"),
        ("redis://broker:6379/٣", "number of a database"),
        ("redis://:secret-word[x@broker:6379/0", "host and port"),
        ("redis://one,two:6379/0", "host and port"),
        ("redis://the broker:6379/0", "host and port"),
        ("redis://broker:6379?db=3", "only rediss:// may have options"),
        ("redis://broker:6379/0?socket_timeout=secret-word", "only rediss:// may have options"),
        ("redis://broker:6379/0?ssl_cert_reqs=none", "only rediss:// may have options"),
        ("rediss://broker:6379/0?virtual_host=5", "only ssl_cert_reqs"),
        ("rediss://broker:6379/0?ssl_cert_reqs=secret-word", "required, optional, none"),
    ],
)
def test_an_impossible_broker_ends_in_one_sentence(environment: pytest.MonkeyPatch, url: str, said: str) -> None:
    environment.setenv("XRAYGPT_REDIS_URL", url)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert said in str(caught.value)
    assert "XRAYGPT_REDIS_URL" in str(caught.value)
    assert "secret-word" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://broker",
        "redis://broker:6379/",
        "redis://user:p%2Fw%40@broker:6379/3",
        "rediss://:secret@[::1]:6380/0?ssl_cert_reqs=required",
        "rediss://broker:6380/0?ssl_cert_reqs=required&ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false",
    ],
)
def test_a_broker_as_redis_and_celery_both_read_it_is_taken(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("XRAYGPT_REDIS_URL", url)
    assert load_settings().redis_url.get_secret_value() == url


def test_settings_do_not_change_once_they_are_read(environment: pytest.MonkeyPatch) -> None:
    found = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        found.window = 3  # type: ignore[misc]


def test_every_setting_but_the_five_has_a_default() -> None:
    required = {name for name, field in Settings.model_fields.items() if field.is_required()}
    assert required == {"database_url", "redis_url", "bucket", "derived_bucket"}


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"database_url": "postgresql://x", "redis_url": "redis://x", "bucket": "a", "derived_bucket": "b"}
    for name, value in (given | {"hmac_key": "5" * 64, "trusted_proxies": "10.0.0.7, 10.1.0.0/16"}).items():
        monkeypatch.setenv(f"XRAYGPT_{name.upper()}", value)
    assert load_settings().trusted_proxies == ("10.0.0.7/32", "10.1.0.0/16")
    monkeypatch.setenv("XRAYGPT_TRUSTED_PROXIES", "proxy.example")
    with pytest.raises(ConfigurationError, match="XRAYGPT_TRUSTED_PROXIES: holds addresses"):
        load_settings()
