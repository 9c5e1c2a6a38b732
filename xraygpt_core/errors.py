"""Every error the system raises on purpose.

An error's docstring is what a user may read about it, and its message says what is wrong, where, and what to do.

    XrayGPTError
    ├── ConfigurationError        a setting is missing or impossible
    ├── NotFound                  no such study, summary, turn, run …
    ├── Conflict                  the request does not fit the state of its subject
    ├── InvalidRequest            the request is malformed
    ├── Unauthorised              no key, or a wrong one
    ├── Forbidden                 a good key whose roles do not allow this
    ├── TooMany                   more requests of one kind than a caller may make in a while
    ├── Rejected                  an input that will never be summarised (carries a reason code)
    ├── LeaseLost                 another worker owns the job now; nothing was written
    ├── ObjectReplaced            the object changed between the event and the read
    ├── ObjectMissing             the object is gone from the bucket
    ├── WrongPicture              the stored picture is not the one that was read; it is not shown
    ├── Unavailable               database, broker or bucket does not answer; worth a retry
    │   └── Refused               the database answers that it cannot do this now; nothing was written
    ├── BundleError               a model bundle is missing, incomplete or does not fit together
    └── TrainingError             a training job cannot start or go on
"""

from xraygpt_core.states import ReasonCode


class XrayGPTError(Exception):
    """Something in XrayGPT failed."""


class ConfigurationError(XrayGPTError):
    """A setting is missing or impossible."""


class NotFound(XrayGPTError):
    """There is no such thing under this id."""


class Conflict(XrayGPTError):
    """The request does not fit the state its subject is in."""


class InvalidRequest(XrayGPTError):
    """The request is malformed."""


class Unauthorised(XrayGPTError):
    """The API key is missing, wrong or revoked."""


class Forbidden(XrayGPTError):
    """The caller is known, but its roles do not allow this."""


class TooMany(XrayGPTError):
    """Too many requests of this kind; wait before the next one."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Rejected(XrayGPTError):
    """This input will never be summarised; the reason code says why."""

    def __init__(self, reason: ReasonCode, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class LeaseLost(XrayGPTError):
    """The job's lease ended or belongs to another worker; nothing was written."""


class ObjectReplaced(XrayGPTError):
    """The object in the bucket is no longer the one that was registered."""


class ObjectMissing(XrayGPTError):
    """The object is not in the bucket."""


class WrongPicture(XrayGPTError):
    """The stored picture is not the one that was read."""


class Unavailable(XrayGPTError):
    """A database, broker, bucket or model server does not answer; the work is retried later."""


class Refused(Unavailable):
    """The database cannot do this now: no room, no writing, or others are in the way. Nothing was written."""


class BundleError(XrayGPTError):
    """A model bundle is missing, incomplete, changed on disk, or its parts do not fit together."""


class TrainingError(XrayGPTError):
    """A training job cannot start, or cannot go on."""
