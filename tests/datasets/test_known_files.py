"""Reports on files of earlier runs: taken for files that did not change, and for no others."""

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from builders import fileset_of
from damage import made_again

from bphcoffea.analysis import BranchNeeds
from bphcoffea.datasets import KnownFiles, compare_files, file_check, files_of
from bphcoffea.datasets import known_files as module
from bphcoffea.execution import Options, file_opening, run
from bphcoffea.storage.servers import ONCE

TREE = "Tree3Mu/ntuple"
NEEDS = {"D": BranchNeeds(required=("Triplet2_Mass",), in_some_file=("evt", "nothing"))}


@pytest.fixture
def sound(data, tmp_path):
    return made_again(data / "tree3mu_phipi_2017.root", tmp_path / "a.root")


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def opened(files):
    return [report for file in files for report in file_check.inspect(ONCE, file)]


def remembered(cache, paths, needs=NEEDS):
    """Files that were opened once."""
    files = files_of(fileset_of({str(path): TREE for path in paths}), needs)
    reports = opened(files)
    KnownFiles(cache).remember(reports)
    return files, reports


def test_a_file_that_did_not_change_has_the_same_report(sound, cache):
    files, reports = remembered(cache, [sound])
    assert KnownFiles(cache).lookup(files) == (reports, [])
    with_form = [replace(files[0], with_form=True)]
    assert KnownFiles(cache).lookup(with_form) == ([], with_form)
    (report,) = opened(with_form)
    KnownFiles(cache).remember([report])
    assert KnownFiles(cache).lookup(with_form) == ([report], [])
    assert KnownFiles(None).lookup(files) == ([], files)


def rewrite(path):
    path.write_bytes(path.read_bytes())


def mend(path):
    """Replace a file by one of the same size and time of modification, as rsync does."""
    times = path.stat()
    other = made_again(path, path.with_name("other"))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [Path.unlink, rewrite, mend, lambda path: path.write_bytes(b"")])
def test_a_file_that_changed_is_opened_again(change, sound, cache):
    files, _ = remembered(cache, [sound])
    time.sleep(0.02)  # the clock of the disk
    change(sound)
    assert KnownFiles(cache).lookup(files) == ([], files)
    (file,) = KnownFiles(cache).lookup(files)[1]
    # a worker compares again: it may see the file where the client does not
    assert file_check.inspect(ONCE, file) == file_check.inspect(ONCE, replace(file, known=None))


def test_a_worker_does_not_open_a_known_file(sound, cache, monkeypatch):
    files, reports = remembered(cache, [sound])
    known = replace(files[0], known=reports[0])
    monkeypatch.setattr(file_check.uproot, "open", None)
    assert file_check.inspect(ONCE, known) == reports


@pytest.mark.parametrize(
    "asked",
    [
        {"branches": ("Triplet2_Mass", "evt")},
        {"looked_for": ()},
        {"tree": "Tree3Mu/other"},
        {"basket_limit": 1},
        {"entries": 299},
        {"uuid": "0" * 32},
        {"uuid": "nonsense"},
    ],
)
def test_another_question_is_not_answered(asked, sound, cache):
    files, _ = remembered(cache, [sound])
    other = [replace(files[0], **asked)]
    assert KnownFiles(cache).lookup(other) == ([], other)


def test_another_version_of_the_code_opens_all_files(sound, cache, monkeypatch):
    files, _ = remembered(cache, [sound])
    monkeypatch.setattr(module, "source_sha256", lambda: "other")
    assert KnownFiles(cache).lookup(files) == ([], files)


def test_faulty_files_are_not_kept(sound, tmp_path, cache):
    needs = {"D": BranchNeeds(required=("nothing",))}
    files, _ = remembered(cache, [sound], needs)
    assert KnownFiles(cache).lookup(files)[0] == []
    files, _ = remembered(cache, [tmp_path / "none.root"])
    assert KnownFiles(cache).lookup(files)[0] == []
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"x": 1}', b"\xff", None])
def test_damaged_reports_are_as_good_as_none(content, sound, cache):
    files, reports = remembered(cache, [sound])
    (path,) = cache.glob("*.json")
    if content is None:
        kept = json.loads(path.read_text())
        kept[str(sound)]["identity"] += "x"
        del kept[str(sound)]["held"]
        content = json.dumps(kept).encode()
    path.write_bytes(content)
    assert KnownFiles(cache).lookup(files) == ([], files)
    KnownFiles(cache).remember(reports)
    assert KnownFiles(cache).lookup(files) == (reports, [])


def test_runs_at_the_same_time_keep_the_reports_of_all(sound, cache):
    files, (report,) = remembered(cache, [sound])
    many = [replace(files[0], path=f"{sound}{number}") for number in range(40)]
    reports = [replace(report, file=file, used=file.path) for file in many]
    writers = [
        threading.Thread(target=KnownFiles(cache).remember, args=[reports[start::4]])
        for start in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    (path,) = cache.glob("*.json")
    assert set(json.loads(path.read_text())) == {str(sound), *(file.path for file in many)}
    assert path.stat().st_mode & 0o077 == 0


def test_reports_that_nobody_asked_for_are_removed(sound, tmp_path, cache):
    files, _ = remembered(cache, [sound])
    (old,) = cache.glob("*.json")
    os.utime(old, (1e9, 1e9))
    KnownFiles(cache).lookup(files)  # in use again
    remembered(cache, [sound], {"D": BranchNeeds(required=("evt",))})
    assert old.exists()
    os.utime(old, (1e9, 1e9))
    remembered(cache, [sound], {"D": BranchNeeds(required=("lumi",))})
    assert not old.exists()


def test_secrets_are_not_kept(cache):
    (file,) = files_of(fileset_of({"https://host/a.root?authz=secret": TREE}))
    report = file_check.FileReport(file, 3, bytes(16), used=file.path, identity="size=1")
    KnownFiles(cache).remember([report])
    (path,) = cache.glob("*.json")
    assert "secret" not in path.read_text()
    # only a worker can see whether it changed
    _, (to_open,) = KnownFiles(cache).lookup([file])
    assert to_open.known == report


def test_the_second_run_opens_no_file(sound, ds_phipi, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fileset = fileset_of({str(sound): TREE})
    first = run(ds_phipi, fileset, tmp_path / "first", Options("iterative"))
    monkeypatch.setattr(file_opening, "inspect", lambda *_: [])
    second = run(ds_phipi, fileset, tmp_path / "second", Options("iterative"))
    assert second.cutflow == first.cutflow


def test_each_copy_of_a_file_is_reported_once(sound):
    paths = [f"{number}.root" for number in range(300)]
    fileset = fileset_of(dict.fromkeys(paths, TREE))
    (report,) = opened(files_of(fileset_of({str(sound): TREE})))
    files = files_of(fileset)
    reports = [replace(report, file=file, used=file.path) for file in files]
    problems = compare_files(fileset, reports, {}).problems
    assert len(problems) == 299
    assert "299.root: is the same" in problems[-1]
