"""What an archive of reports may hold, and what of it is never read."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.report_archives import LONG, numbered, open_i_xml, small_collection, tar_of, zip_of
from training_jobs.curation import archives
from training_jobs.curation.open_i import read_open_i
from xraygpt_core.errors import TrainingError


def test_links_and_devices_in_an_archive_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.xml").write_bytes(open_i_xml("secret", "secret"))
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)):
            info = tarfile.TarInfo(f"{number}.xml")
            info.type, info.linkname = kind, str(tmp_path / "secret.xml")
            tar.addfile(info)
    assert list(read_open_i(tmp_path / "a.tgz")) == []


def test_links_in_a_folder_and_in_a_zip_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.xml").write_bytes(open_i_xml("secret", "secret"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.xml").symlink_to(tmp_path / "secret.xml")
    assert list(read_open_i(tmp_path / "in")) == []
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("1.xml")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "../secret.xml")
    assert list(read_open_i(tmp_path / "a.zip")) == []


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_a_file_of_absurd_size_is_one_broken_report(tmp_path: Path, pack: object) -> None:
    files = {"1.xml": b"<a>" + b" " * archives.MAX_FILE, "2.xml": open_i_xml(LONG, "Normal chest.")}
    path = tmp_path / ("a.tgz" if pack is tar_of else "a.zip")
    first, second = read_open_i(pack(path, files))  # type: ignore[operator]
    assert (first.broken, second.uid) == ("the file is too large for a report", "CXR1")


def test_a_header_of_gigabytes_is_an_error_before_it_is_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("long name")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    with gzip.open(tmp_path / "a.tgz", "wb") as out:
        out.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**16))
    with pytest.raises(TrainingError, match="not a readable archive"):
        list(read_open_i(tmp_path / "a.tgz"))


@pytest.mark.parametrize("name", ["a.tgz", "a.zip", "a.tar", "a.tar.xz"])
@pytest.mark.parametrize("data", [b"", b"not an archive", b"PK\x03\x04" + bytes(40), b"\x1f\x8b\x08" + bytes(40)])
def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TrainingError, match="not a readable archive"):
        list(read_open_i(tmp_path / name))


def test_an_archive_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    whole = tar_of(tmp_path / "a.tgz", small_collection(30)).read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingError, match="not a readable archive"):
        list(read_open_i(tmp_path / "cut.tgz"))


def test_a_zip_that_wants_a_password_is_an_error(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", numbered(open_i_xml(LONG, "Normal chest.")))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag of the local header, and of the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="not a readable archive"):
        list(read_open_i(path))


def test_an_archive_is_read_with_a_stream_that_gives_no_more_than_it_is_asked() -> None:
    careful = archives._Careful(io.BytesIO(b"abc"))
    assert careful.read(2) == b"ab"
    with pytest.raises(tarfile.ReadError):
        careful.read()
