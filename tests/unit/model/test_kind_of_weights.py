"""What a weights file is, by its first bytes."""

from pathlib import Path

from tests.support.layout_files import write_rad_dino
from tests.support.layout_shapes import Sizes
from xraygpt_core.model.importing.files import FileKind, kind_of


def test_a_safetensors_file_is_one_whatever_its_header_s_length_begins_with(tmp_path: Path) -> None:
    file = write_rad_dino(tmp_path, Sizes()) / "model.safetensors"
    assert file.read_bytes()[0] == 0x80  # as a pickle's first byte
    assert kind_of(file) is FileKind.SAFETENSORS
