"""What is no regular file is refused before it is opened: reading a pipe may wait for ever."""

import os
import socket
from pathlib import Path

import pytest
from builders import TREE, write_fileset

from bphcoffea.analysis import Variable, score
from bphcoffea.corrections.making import from_histogram
from bphcoffea.datasets import fileset_of_files, load_fileset
from bphcoffea.datasets.build import find_files
from bphcoffea.datasets.file_check import FileToOpen, inspect
from bphcoffea.documents import read_bytes
from bphcoffea.errors import InputError
from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.local_files import IrregularFileError, regular
from bphcoffea.storage import ONCE, Proxy, adler32_at, reason


def test_pipes_sockets_and_devices_are_no_regular_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("device").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
    for kind in ("pipe", "socket", "device"):
        for place in (kind, tmp_path / kind, f"file://{tmp_path}/{kind}"):
            with pytest.raises(IrregularFileError) as refused:
                regular(place)
            assert reason(refused.value) == f"is a {kind}, not a regular file"
    with pytest.raises(IsADirectoryError):
        regular(tmp_path)
    for place in (__file__, "root://host//pipe"):
        assert regular(place) == place


# a device that ends at once, so that a place that opens it fails and does not wait
@pytest.mark.parametrize(
    "read",
    [
        read_bytes,
        lambda file: fileset_of_files([file], TwoMuTrackSchema),
        find_files,
        lambda file: InputError.raise_for(inspect(ONCE, FileToOpen("D", file, TREE))[0].lines()),
        adler32_at,
        lambda file: score("s", file, (Variable("pt", abs),)),
        lambda file: Proxy(Path(file)).read(),
        lambda file: from_histogram(f"{file}:h", "id", ["pt"]),
    ],
)
def test_all_places_refuse_them(read, tmp_path):
    file = tmp_path / "device.root"
    file.symlink_to("/dev/null")
    with pytest.raises(Exception, match="is a device, not a regular file"):
        read(str(file))


def test_a_fileset_may_come_through_a_pipe_of_the_shell(tmp_path):
    content = write_fileset(tmp_path / "fileset.json", {"D": ["/a.root"]}).read_bytes()
    ends = os.pipe()
    try:
        os.write(ends[1], content)
        os.close(ends[1])
        assert load_fileset(f"/dev/fd/{ends[0]}").names == ["D"]
        with pytest.raises(InputError, match="is a pipe"):
            read_bytes(f"/dev/fd/{ends[0]}")
    finally:
        os.close(ends[0])
