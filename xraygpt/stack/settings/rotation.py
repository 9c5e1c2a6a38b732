"""New passwords, tokens and keys in place of old ones. The stack is down meanwhile; its next start makes them count."""

from collections.abc import Callable, Mapping

from xraygpt.stack.settings.home import Home
from xraygpt.stack.settings.remembered import recall, remember, secret

# What a service remembers beside its secrets.
_NO_SECRETS = {"ports"}


def _database(home: Home) -> None:
    """The owner's, the superuser's, the analysts', and that of each process."""
    file = home.root / "postgres" / "service.json"
    if values := recall(file):  # none of ours where the database is external
        # One that is not yet known to count may count already: another one would lock us all out.
        superuser = values.get("next_superuser_password") or secret()
        remember(file, values | {"password": secret(), "next_superuser_password": superuser})
    ours = recall(home.secrets_file)
    former = ours.get("role_passwords", {})
    passwords = {role: secret() for role in former}
    new = {"reader_password": secret(), "role_passwords": passwords, "former_passwords": former}
    remember(home.secrets_file, ours | new)


def _broker(home: Home) -> None:
    file = home.root / "broker" / "service.json"
    if values := recall(file):
        remember(file, values | {"password": secret()})


def _bucket(home: Home) -> None:
    """The keys of every identity; the server makes new ones when it starts."""
    file = home.root / "s3" / "service.json"
    if values := recall(file):  # a version before had the owner's keys here
        remember(file, {name: value for name, value in values.items() if name in _NO_SECRETS})
    for remembered in ("keys.json", "identities.json"):
        (home.root / "s3" / "home" / remembered).unlink(missing_ok=True)


def _ours(name: str) -> Callable[[Home], None]:
    def rotate(home: Home) -> None:
        remember(home.secrets_file, recall(home.secrets_file) | {name: secret()})

    return rotate


def _api_key(home: Home) -> None:
    """It was revoked; the next start makes another one."""
    values = recall(home.secrets_file)
    values.pop("api_key", None)
    remember(home.secrets_file, values)


def _certificates(home: Home) -> None:
    """The next start makes new ones, with a new authority."""
    for file in home.certificates.glob("*") if home.certificates.is_dir() else ():
        file.unlink()


ROTATED: Mapping[str, Callable[[Home], None]] = {
    "database": _database,
    "broker": _broker,
    "bucket": _bucket,
    "webhook": _ours("webhook_token"),
    "flower": _ours("flower_password"),
    "metrics": _ours("metrics_token"),
    "key": _api_key,
    "certificates": _certificates,
}
