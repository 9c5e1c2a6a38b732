"""Another user of the machine, who has no credential, at each door of the S3 server: nothing is given, nothing changed.

``weed shell`` is SeaweedFS's own administrative client: it lists, reads, moves and destroys every object where gRPC is
open. ``/col/delete`` and its like are plain GETs, which a web page could make a browser on this machine send.
"""

import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.s3_tools import s3_client
from tests.support.service_tools import started
from tests.support.strangers import NOBODY, as_nobody, listening, needs_another_user, readable_by_all, unix_sockets
from xraygpt.stack.servers import s3
from xraygpt.stack.servers.s3 import GRPC_OFFSET, ObjectServer
from xraygpt.stack.settings.certificates import Authority

pytestmark = needs_another_user

KEY, FILM = "CANARY^JANE/chest.dcm", b"CANARY film " * 1000
OPEN = {"/healthz", "/status", "/readyz"}  # of S3: "it runs", and no more
SHELL_SECONDS = 4.0  # with its doors open they need less than one


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """One with a film in it."""
    server = ObjectServer(tmp_path_factory.mktemp("s3"), webhook_bucket="source", derived_bucket="derived")
    server.start()
    try:
        with closing(client_of(server)) as client:
            for bucket in ("source", "derived"):
                client.create_bucket(Bucket=bucket)
            client.put_object(Bucket="source", Key=KEY, Body=FILM)
        yield server
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def _unchanged(server: ObjectServer) -> Iterator[None]:
    """Whatever they tried: the film is there, and nothing else."""
    yield
    with closing(client_of(server)) as client:
        assert client.get_object(Bucket="source", Key=KEY)["Body"].read() == FILM
        assert [one["Key"] for one in client.list_objects_v2(Bucket="source")["Contents"]] == [KEY]
        assert [one["Name"] for one in client.list_buckets()["Buckets"]] == ["derived", "source"]
        assert "Contents" not in client.list_objects_v2(Bucket="derived")


def client_of(server: ObjectServer) -> Any:
    return s3_client(server.url, server.access_key, server.secret_key)


def ports(server: ObjectServer) -> list[int]:
    return sorted(port + offset for port in server.ports.values() for offset in (0, GRPC_OFFSET))


def file_id(server: ObjectServer) -> str:
    """The film's name on the volume server: volume, needle and cookie (SeaweedFS's README, "Write File")."""
    (index,) = (server.directory / "data").glob("source_*.idx")
    volume = index.with_suffix(".dat")
    needle, offset = struct.unpack(">QL", index.read_bytes()[:12])
    cookie = volume.read_bytes()[offset * 8 : offset * 8 + 4]
    return f"{volume.stem.split('_')[1]},{needle:x}{cookie.hex()}"


def test_a_process_that_ended_meanwhile_listens_nowhere() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert listening(process.pid) == unix_sockets(process.pid) == set()


def test_no_port_is_open_that_is_not_walked_here(server: ObjectServer) -> None:
    assert {port for _, port in listening(server.pid)} <= set(ports(server))
    assert {address for address, _ in listening(server.pid)} == {"127.0.0.1"}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_port_answers_a_stranger_s_requests(server: ObjectServer, scheme: str) -> None:
    paths = [
        *("/", "/healthz", "/status", "/readyz", "/metrics", "/ui/index.html", "/debug/pprof/", "/seaweedfsstatic/"),
        *("/dir/status", "/dir/assign", "/dir/lookup?volumeId=1", "/vol/status", "/vol/grow?count=1", "/vol/vacuum"),
        *("/col/delete?collection=source", "/collection/info", "/cluster/status", "/stats/disk", "/submit"),
        *(f"/{file_id(server)}", "/buckets/", f"/buckets/source/{KEY}", "/source/", f"/source/{KEY}", "/.tus/"),
        *("/api/config", "/api/files", "/source?list-type=2", "/source?policy", "/?Action=ListUsers"),
    ]
    for port in ports(server):
        urls = [f"{scheme}://127.0.0.1:{port}{path}" for path in paths]
        # Who turns a client away before it has asked for anything turns it away whatever it asks for.
        early = ["--fail-early"] if scheme == "https" else []
        said = as_nobody(["curl", "-skg", "-m", "10", *early, "-w", "\n= %{http_code} %{url}\n", *urls])
        assert "CANARY" not in said.replace(KEY, "")
        given = {line.split()[2] for line in said.splitlines() if line.startswith(("= 2", "= 3"))}
        allowed = {f"http://127.0.0.1:{port}{path}" for path in OPEN} if port == server.ports["s3"] else set()
        assert given <= allowed


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_no_port_takes_a_stranger_s_writes(server: ObjectServer, method: str) -> None:
    paths = [f"/{file_id(server)}", f"/buckets/source/{KEY}", "/buckets/source/planted", f"/source/{KEY}", "/planted"]
    for server_name in ("master", "volume", "filer", "s3", "admin"):
        for scheme in ("http", "https"):
            urls = [f"{scheme}://127.0.0.1:{server.ports[server_name]}{path}" for path in paths]
            early = ["--fail-early"] if scheme == "https" else []
            command = [
                "curl",
                "-skg",
                *early,
                "-m",
                "10",
                "-X",
                method,
                "-F",
                "file=planted",
                "-w",
                "\n= %{http_code}\n",
            ]
            assert not [line for line in as_nobody([*command, *urls]).splitlines() if line.startswith("= 2")]


def test_seaweedfs_s_own_clients_give_nothing_to_a_stranger(server: ObjectServer) -> None:
    shell_commands = [
        *("lock", "cluster.ps", "volume.list", "fs.ls -l /buckets/source/", f"fs.ls -l /buckets/source/{KEY}"),
        *(f"fs.cat /buckets/source/{KEY}", f"fs.meta.cat /buckets/source/{KEY}", "fs.mkdir /buckets/source/PLANTED"),
        f"fs.mv /buckets/source/{KEY} /buckets/derived/film",
        *("s3.configure", "s3.bucket.create -name=planted", "s3.bucket.delete -name=derived"),
        *(f"fs.rm -r /buckets/source/{KEY.partition('/')[0]}", "collection.delete -collection=source -force"),
        "unlock",
    ]
    master, filer = (f"127.0.0.1:{server.ports[one]}.{server.ports[one] + GRPC_OFFSET}" for one in ("master", "filer"))
    with readable_by_all(s3.program()) as directory:
        weed, certificates = str(directory / "weed"), certificate_of_its_own(directory / "own")

        def said(arguments: list[str], environment: dict[str, str]) -> str:
            typed = "\n".join(shell_commands)
            return as_nobody([weed, *arguments], said=typed, seconds=SHELL_SECONDS, environment=environment)

        tried: list[tuple[list[str], dict[str, str]]] = [
            (["shell", f"-master={master}", f"-filer={filer}"], {}),
            (["shell", f"-master={master}", f"-filer={filer}"], certificates),
            (["filer.cat", f"http://{filer}/buckets/source/{KEY}"], {}),
            (["filer.meta.tail", f"-filer={filer}", "-timeAgo=1h"], {}),
            (["download", f"-server={master}", "-dir=/tmp", file_id(server)], {}),
            (["upload", f"-master={master}", "/etc/hostname"], {}),
        ]
        with ThreadPoolExecutor(len(tried)) as several:
            heard = list(several.map(lambda one: said(*one), tried))
    for output in heard:
        assert "chest.dcm" not in output.replace(f"/buckets/source/{KEY}", "")  # some repeat what they were asked
        assert "CANARY film" not in output
        assert '"fid"' not in output


def certificate_of_its_own(directory: Path) -> dict[str, str]:
    """The variables that make SeaweedFS's clients present a certificate; one of another authority with our names."""
    authority = Authority(directory, "SeaweedFS")
    issued = authority.issue("node")
    for file in (directory, authority.file, issued.file, issued.key_file):
        file.chmod(0o755)
    return {
        "WEED_GRPC_CA": str(authority.file),
        "WEED_GRPC_CLIENT_CERT": str(issued.file),
        "WEED_GRPC_CLIENT_KEY": str(issued.key_file),
    }


def test_its_sockets_are_closed_to_strangers(server: ObjectServer) -> None:
    sockets = unix_sockets(server.pid)
    assert sockets
    for path in sockets:
        assert "= 000" in as_nobody(["curl", "-s", "-w", "= %{http_code}", "--unix-socket", str(path), "http://x/"])
        if path.parent == Path("/tmp"):  # the others are in a directory that is closed
            assert path.stat().st_uid != NOBODY
            assert not path.stat().st_mode & 0o022


def test_its_files_are_closed_to_strangers(server: ObjectServer) -> None:
    files = [server.directory, *server.directory.rglob("*")]
    said = as_nobody(["cat", *(str(path) for path in files)]).splitlines()
    assert [line.rpartition(": ")[2] for line in said] == ["Permission denied"] * len(files)


@pytest.mark.long
def test_a_stranger_s_file_in_a_socket_s_place_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    first = ObjectServer(tmp_path)
    with started(first):
        pass
    squatted = Path(f"/tmp/seaweedfs-master-grpc-{first.ports['master'] + GRPC_OFFSET}.sock")
    as_nobody(["touch", str(squatted)])
    try:
        with started(ObjectServer(tmp_path)) as second:
            assert second.ports["master"] != first.ports["master"]
            assert second.ports["s3"] == first.ports["s3"]
    finally:
        squatted.unlink()
