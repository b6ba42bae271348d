"""Files are compared with the checksums that their storages know."""

import json
import shutil
import sys
import zlib

import pytest
import services

from bphcoffea import cli
from bphcoffea.datasets import Fileset
from bphcoffea.datasets.checksums import compare, files_to_compare, with_checksums
from bphcoffea.storage.servers import ONCE

METADATA = {"is_mc": False, "era": "2018"}
TREE = "ntuple"


def fileset_of(*entries):
    files = {str(path): {"object_path": TREE} | entry for path, entry in entries}
    return Fileset.model_validate({"D": {"files": files, "metadata": METADATA}})


def compared(*entries):
    (report,) = [r for f in files_to_compare(fileset_of(*entries)) for r in compare(ONCE, f)]
    return report


def adler32(path):
    return f"adler32:{zlib.adler32(path.read_bytes()):08x}"


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.fixture
def file(data, tmp_path):
    return shutil.copy(data / "codec_zstd.root", tmp_path / "a.root")


def test_a_file_on_a_disk_is_read(file):
    report = compared((file, {}))
    assert (report.checksum, report.problems) == (adler32(file), ())
    assert compared((file, {"checksum": adler32(file)})).problems == ()


def test_a_flipped_bit_is_a_problem(file):
    recorded = adler32(file)
    flip(file)
    (line,) = compared((file, {"checksum": recorded})).lines()
    assert line == (
        f"dataset 'D', {file}: its checksum is {adler32(file)}, but {recorded} in the fileset; "
        "the file is damaged or another one: copy it again"
    )


def test_a_damaged_replica_is_named(file, tmp_path):
    replica = shutil.copy(file, tmp_path / "b.root")
    entry = {"checksum": adler32(file), "replicas": [str(replica)]}
    flip(replica)
    (problem,) = compared((file, entry)).problems
    assert problem.startswith(f"replica {replica}: its checksum is {adler32(replica)}, but ")
    report = compared((file, {"replicas": [str(replica)]}))
    assert report.checksum is None
    (problem,) = report.problems
    assert problem.startswith(f"its checksums differ: {adler32(file)} at {file}, ")


def test_a_file_that_is_not_there_is_a_problem(tmp_path):
    (problem,) = compared((tmp_path / "none.root", {})).problems
    assert problem == "no checksum (no such file)"
    (problem,) = compared(("ftp://host/a.root", {})).problems
    assert "no checksum (ftp://" in problem


def test_what_is_found_is_recorded_where_nothing_was(file, tmp_path):
    other = shutil.copy(file, tmp_path / "b.root")
    fileset = fileset_of((file, {}), (other, {"checksum": "adler32:00000001"}))
    reports = [r for f in files_to_compare(fileset) for r in compare(ONCE, f)]
    files = with_checksums(fileset, reports)["D"].files
    assert files[str(file)].checksum == adler32(file)
    assert files[str(other)].checksum == "adler32:00000001"


@pytest.mark.parametrize("checksum", ["0123abcd", "md5:0123", "adler32:123", "adler32:0123ABCD"])
def test_other_checksums_are_refused(checksum, file):
    with pytest.raises(ValueError, match="checksum"):
        fileset_of((file, {"checksum": checksum}))


def test_the_command_records_and_compares(file, tmp_path, monkeypatch, capsys):
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"D": {"files": {str(file): TREE}, "metadata": METADATA}}))

    def check(*words):
        monkeypatch.setattr(sys, "argv", ["bphcoffea", "fileset", "check", str(path), *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out + said.err

    status, err = check()
    assert status == 0
    assert err.count("bphcoffea fileset check --checksum") == 1
    assert "note: 1 of 1 files are stored without checksums" in err
    status, err = check("--checksum", "-o", str(path))
    assert (status, "note:" in err) == (0, False)
    entry = json.loads(path.read_text())["D"]["files"][str(file)]
    assert entry["checksum"] == adler32(file)
    flip(file)
    status, err = check("--checksum", "-o", str(path))
    assert status == 2
    assert f"{file}: its checksum is {adler32(file)}, but {entry['checksum']}" in err
    assert json.loads(path.read_text())["D"]["files"][str(file)]["checksum"] == entry["checksum"]


@pytest.mark.xrootd
@pytest.mark.parametrize("checksums", [True, False], ids=["server tells", "server is read"])
def test_a_server_is_asked(checksums, file, served):
    folder, run_folder = served
    for name in ("a.root", "b.root"):
        shutil.copy(file, folder / name)
    flip(folder / "b.root")
    with services.xrootd_server(folder, run_folder, http=True, checksums=checksums) as server:
        before = server.bytes_read()
        for url in (server.url, server.http_url):
            entry = {"checksum": adler32(file), "replicas": [url("b.root"), url("none.root")]}
            report = compared((url("a.root"), entry))
            assert report.checksum is None
            damaged, missing = report.problems
            bad = adler32(folder / "b.root")
            assert damaged.startswith(f"replica {url('b.root')}: its checksum is {bad}, but ")
            assert missing.startswith(f"replica {url('none.root')}: no checksum (no such file")
        assert server.bytes_read() > before
    report = compared((server.url("a.root"), {}))
    assert "the server does not answer" in report.problems[0]
