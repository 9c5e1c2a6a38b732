"""How our processes log in at the database: each as its own role, where roles and passwords are ours to make."""

import contextlib
from collections.abc import Callable, Mapping

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import make_dsn, parse_dsn
from sqlalchemy import make_url

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.servers.postgres import LARGEST_SORT, Postgres
from xraygpt_core.db import driver_url, libpq_url
from xraygpt_core.logins import PROCESSES, READER, role_of

LONGEST_WAIT = 10  # seconds for a connection

_MAY_LOG_IN = "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s"


def setting_of(process: str) -> str:
    """The variable that gives a process its own address of an external database."""
    return f"XRAYGPT_{process.upper()}_DATABASE_URL"


class Logins:
    """The addresses of one database: the owner's, the analysts', and one for each process.

    Args:
        owner_url: of the owner, who migrates.
        postgres: the server of this stack; None: an external one.
        environ: may give addresses of an external one.
        passwords: by role.
        former: passwords this stack gave before, by role. A role that still has one is ours to change.
    """

    def __init__(
        self,
        owner_url: str,
        postgres: Postgres | None,
        environ: Mapping[str, str],
        passwords: Mapping[str, str],
        former: Mapping[str, str],
    ) -> None:
        self._owner_url = owner_url
        self._postgres = postgres
        self._environ = environ
        self._passwords = passwords
        self._former = former

    def urls(self, say: Callable[[str], None]) -> dict[str, str]:
        """An address for each process. Where a role cannot log in, its process is the owner, and ``say`` says so.

        Call it when the database is migrated.
        """
        if self._postgres:
            self._postgres.let_in({role_of(process): self._passwords[role_of(process)] for process in PROCESSES})
            return {process: self._postgres.url_of(role_of(process), self._passwords) for process in PROCESSES}
        return {process: self._external(process, say) for process in PROCESSES}

    def reader_url(self) -> str:
        """The database as the analysts' role, whose password is set here; an external one can be given instead.

        Raises:
            StackError: the database does not allow it.
        """
        if given := self._environ.get("XRAYGPT_READER_URL"):
            return given
        if self._postgres:
            self._postgres.let_in({READER: self._passwords[READER]})
            return self._postgres.url_of(READER, self._passwords)
        try:
            self._give_password(READER)
        except psycopg2.Error as error:
            why = error.pgcode or " ".join(str(error).split())
            raise StackError(f"database: no password for {READER} ({why}); set XRAYGPT_READER_URL") from error
        return as_libpq_role(self._owner_url, READER, self._passwords[READER])

    def give_passwords(self) -> list[str]:
        """Let every role log in with its password, whatever it had before; the roles that are not there.

        Raises:
            StackError: the database does not allow it.
        """
        absent = []
        for role in self._passwords:
            try:
                self._give_password(role)
            except errors.UndefinedObject:
                absent.append(role)
            except psycopg2.Error as error:
                why = error.pgcode or " ".join(str(error).split())
                raise StackError(f"database: no password for {role} ({why})") from error
        return absent

    def _external(self, process: str, say: Callable[[str], None]) -> str:
        if given := self._environ.get(setting_of(process)):
            return given
        role = role_of(process)
        url = as_role(self._owner_url, role, self._passwords[role])
        trouble = None if _logs_in(url) else self._let_in(role)
        if trouble is None and _logs_in(url):
            return url
        say(
            f"{process} works as the database's owner and may do more than it needs: "
            f"{role} {trouble or 'cannot log in here'}; set {setting_of(process)}"
        )
        return self._owner_url

    def _let_in(self, role: str) -> str | None:
        """Give a role its password if it has none, or one that we gave; else what is in the way.

        Another machine of this installation may have given it another one, and would be locked out.
        """
        with self._connection() as connection:
            cursor = connection.cursor()
            cursor.execute(_MAY_LOG_IN, [role])
            found = cursor.fetchone()
        if found is None:
            return "is not there (the role that migrates may not make roles)"
        former = self._former.get(role)
        if found[0] and not (former and _logs_in(as_role(self._owner_url, role, former))):
            return "has a password that this data directory does not know"
        try:
            self._give_password(role)
        except psycopg2.Error as error:
            return f"gets no password from its owner ({error.pgcode})"
        return None

    def _give_password(self, role: str) -> None:
        values = sql.Identifier(role), sql.Literal(self._passwords[role])
        with self._connection() as connection:
            cursor = connection.cursor()
            cursor.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(*values))
            connection.commit()
            if role == READER:
                with contextlib.suppress(errors.InsufficientPrivilege):  # only where the owner was given this right
                    cursor.execute(sql.SQL("ALTER ROLE {} SET temp_file_limit = {}").format(values[0], LARGEST_SORT))
                    connection.commit()

    def _connection(self) -> contextlib.closing[psycopg2.extensions.connection]:
        return contextlib.closing(psycopg2.connect(libpq_url(self._owner_url), connect_timeout=LONGEST_WAIT))


def as_role(url: str, role: str, password: str) -> str:
    """The same database and driver for another role, with all else that the address says."""
    return make_url(driver_url(url)).set(username=role, password=password).render_as_string(hide_password=False)


def as_libpq_role(url: str, role: str, password: str) -> str:
    """The same, as psql reads it."""
    return str(make_dsn(**parse_dsn(libpq_url(url)) | {"user": role, "password": password}))


def _logs_in(url: str) -> bool:
    try:
        psycopg2.connect(libpq_url(url), connect_timeout=LONGEST_WAIT).close()
    except psycopg2.OperationalError:
        return False
    return True
