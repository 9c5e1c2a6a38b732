"""Errors as PostgreSQL's driver raises them."""

from psycopg2 import errors


def server_error(code: str, message: str = "said by the server") -> Exception:
    """The error of a SQLSTATE (PostgreSQL's manual, appendix A), as if the server had sent it."""
    error: Exception = errors.lookup(code)(message)
    error.__setstate__({"pgcode": code})  # type: ignore[attr-defined]  # how the driver's errors are unpickled
    return error


DISK_FULL, LOCK_NOT_AVAILABLE, UNDEFINED_COLUMN = "53100", "55P03", "42703"
