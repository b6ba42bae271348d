"""A run that was cut off goes on: nothing lost, nothing twice, nothing stale."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
import services
import uproot
from builders import write_fileset
from coffea.processor.executor import WorkItem
from damage import corrupt_basket, made_again
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bphcoffea.datasets import load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.execution.checkpoint_folders import default_place
from bphcoffea.execution.checkpoints import Checkpoints, fingerprint
from bphcoffea.execution.runner import FaultTolerantRunner
from bphcoffea.results import RunFolder
from bphcoffea.storage.servers import ONCE

#: Writes a line for each chunk that it really processes, and takes its time.
ANALYSIS = """
    import os, time
    from pathlib import Path
    from bphcoffea.analysis import Analysis, Axis, Candidates, Cut, Histogram, Selection
    from bphcoffea.inputs import TwoMuTrackSchema
    from threshold import chi2, LOWEST

    class Slow(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(Cut("vertex", chi2 >= LOWEST))
        histograms = (Histogram("chi2", chi2, Axis(20, 0, 20)),)
        columns = (chi2,)

        def prepare(self, events):
            known = events.metadata
            if "entrystart" in known:  # not while its branches are traced
                with Path(os.environ["PROCESSED"]).open("a") as log:
                    log.write(f"{known['filename']} {known['entrystart']}\\n")
                time.sleep(float(os.environ.get("PAUSE", "0")))
            return super().prepare(events)
"""
BESIDE = """
    from bphcoffea.analysis import Variable

    LOWEST = 0
    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)
"""
CHUNK = 100


@pytest.fixture(scope="module")
def toys(shared_folders, tmp_path_factory):
    """The data of a small toy, whose files no test changes: sixteen chunks of four files."""
    made = shared_folders.toys("ds_phipi", 1500, 2) / "fileset.json"
    content = json.loads(made.read_text())
    data = {name: content[name] for name in ("toy_2017", "toy_2018")}
    for dataset in data.values():
        dataset["files"] = {str(made.parent / file): e for file, e in dataset["files"].items()}
    path = tmp_path_factory.mktemp("toys") / "fileset.json"
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def job(toys, tmp_path, monkeypatch):
    """An analysis, a fileset, and what is needed to run it here or in a process of its own."""
    (tmp_path / "slow.py").write_text(textwrap.dedent(ANALYSIS))
    (tmp_path / "threshold.py").write_text(textwrap.dedent(BESIDE))
    monkeypatch.setenv("PROCESSED", str(tmp_path / "processed"))

    class Job:
        processed = tmp_path / "processed"
        checkpoints = tmp_path / "checkpoints"

        def options(self, **changes):
            known = {"executor": "iterative", "chunksize": CHUNK, "resume": True}
            return Options(**(known | {"checkpoints": str(self.checkpoints)} | changes))

        def run(self, name="run", fileset=toys, **changes):
            """Run, and tell how many chunks were processed for it."""
            before = self.count()
            analysis = load_analysis(str(tmp_path / "slow.py"))
            folder = run(analysis, load_fileset(fileset), tmp_path / name, self.options(**changes))
            return folder, self.count() - before

        def words(self, executor):
            """A command that runs with one worker."""
            words = ["run", tmp_path / "slow.py", toys, "-o", tmp_path / "run"]
            words += ["--executor", executor, "--workers", "1"]
            return [*words, "--chunksize", str(CHUNK), "--checkpoints", self.checkpoints]

        def start(self, executor, stderr=subprocess.DEVNULL, pause_s=0.2, **more):
            """Start a run as a process, with a pause in each chunk."""
            return subprocess.Popen(
                [sys.executable, "-m", "bphcoffea", *self.words(executor)],
                env=os.environ | {"PAUSE": str(pause_s)} | more,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )

        def count(self):
            return len(self.processed.read_text().splitlines()) if self.processed.exists() else 0

        def kept(self):
            return len(list(self.checkpoints.glob("*/*.lz4")))

    return Job()


def assert_same(folder, expected):
    assert folder.complete
    assert folder.cutflow == expected.cutflow
    for dataset in expected.cutflow:
        assert folder.candidates(dataset).equals(expected.candidates(dataset))
    assert folder.read("lumis.json") == expected.read("lumis.json")
    for name, histogram in expected.histograms().items():
        assert folder.histograms()[name] == histogram


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["futures", "dask"])
def test_client_that_is_killed_goes_on_where_it_was(executor, job, tmp_path):
    process = job.start(executor)
    deadline = time.monotonic() + 60
    while job.kept() < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    while in_group(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not in_group(process.pid), "workers end with their client"
    assert not (tmp_path / "run" / "ledger.json").exists()
    kept = job.kept()
    resumed, processed = job.run()
    total = resumed.read("ledger.json")["chunks"]
    assert 5 <= kept < total
    assert processed == total - kept
    assert resumed.read("metrics.json")["chunks_resumed"] == kept
    whole, processed = job.run("whole", checkpoints=None, resume=False)
    assert processed == total
    assert_same(resumed, whole)
    assert not list(job.checkpoints.iterdir()), "a complete run leaves no checkpoints"


def in_group(group):
    """Whether a process of a group still lives."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        if int(state[2]) == group and state[0] != "Z":
            return True
    return False


def cut_off(job, chunks):
    """Leave checkpoints of some chunks, as a run that stopped there."""

    class Stop(BaseException):
        pass

    original = Checkpoints.save

    def save(self, *arguments):
        original(self, *arguments)
        if job.kept() >= chunks:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        with pytest.raises(Stop):
            job.run()
    return job.kept()


def test_without_resume_nothing_is_taken_from_checkpoints(job):
    cut_off(job, 3)
    folder, processed = job.run(resume=False)
    assert processed == folder.read("ledger.json")["chunks"]


def test_changed_cut_is_not_answered_from_an_old_checkpoint(job, tmp_path):
    cut_off(job, 3)
    old = (tmp_path / "slow.py").read_text()
    (tmp_path / "slow.py").write_text(old.replace("chi2 >= LOWEST", "chi2 >= 1"))
    folder, processed = job.run()
    assert processed == folder.read("ledger.json")["chunks"]


def test_change_in_a_module_beside_the_analysis_counts(job, tmp_path):
    cut_off(job, 3)
    old = (tmp_path / "threshold.py").read_text()
    (tmp_path / "threshold.py").write_text(old.replace("LOWEST = 0", "LOWEST = 1"))
    folder, processed = job.run()
    assert processed == folder.read("ledger.json")["chunks"]


def test_other_chunks_are_not_answered_from_an_old_checkpoint(job):
    cut_off(job, 3)
    folder, processed = job.run(chunksize=CHUNK // 2)
    assert processed == folder.read("ledger.json")["chunks"]


def test_configuration_is_part_of_the_fingerprint(job, tmp_path):
    first = load_analysis(str(tmp_path / "slow.py"))
    second = load_analysis(str(tmp_path / "slow.py"))
    assert fingerprint(first) == fingerprint(second)
    second.working_point = "tight"
    assert fingerprint(first) != fingerprint(second)


def test_checkpoint_that_was_cut_off_is_made_again(job):
    kept = cut_off(job, 3)
    broken = next(job.checkpoints.glob("*/*.lz4"))
    broken.write_bytes(broken.read_bytes()[:100])
    folder, processed = job.run()
    assert processed == folder.read("ledger.json")["chunks"] - kept + 1
    assert folder.complete


def test_incomplete_run_reads_only_what_was_missing(job, tmp_path, data):
    # a file that fails at first and is mended: the checkpoints of the others still count
    sound = data / "tree3mu_phipi_2017.root"
    files = [tmp_path / "a.root", corrupt_basket(sound, tmp_path / "b.root", "TripletVtx2_Chi2")]
    made_again(sound, files[0])
    fileset = write_fileset(tmp_path / "two.json", {"D": files})
    broken, _ = job.run(fileset=fileset, retries=ONCE)
    missing = broken.read("ledger.json")["failed"]
    assert {failure["file"] for failure in missing} == {str(files[1])}
    shutil.copy(sound, files[1])
    mended, processed = job.run(fileset=fileset)
    assert mended.complete
    assert processed == len(missing)
    whole, _ = job.run("whole", fileset=fileset, checkpoints=None, resume=False)
    assert_same(mended, whole)


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_folder_that_others_may_write_to_is_refused(mode, job):
    cut_off(job, 2)
    (kept,) = job.checkpoints.iterdir()
    kept.chmod(mode)
    with pytest.raises(InputError, match="others may have written it"):
        job.run()


def test_checkpoints_may_lie_on_any_file_system(job):
    folder, processed = job.run(checkpoints="memory://kept")
    assert folder.complete
    assert processed == folder.read("ledger.json")["chunks"]


@pytest.mark.xrootd
def test_checkpoints_may_lie_on_a_server(job, served):
    folder, run_folder = served
    with services.xrootd_server(folder, run_folder) as server:
        job.checkpoints = server.url("kept")
        job.kept = lambda: len(list(folder.glob("kept/*/*.lz4")))
        kept = cut_off(job, 3)
        resumed, processed = job.run()
    assert resumed.complete
    assert processed == resumed.read("ledger.json")["chunks"] - kept
    assert job.kept() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "sent", "status", "word"),
    [
        ("futures", signal.SIGINT, 130, "interrupted"),
        ("dask", signal.SIGINT, 130, "interrupted"),
        ("dask", signal.SIGTERM, 143, "terminated"),
    ],
)
def test_run_with_workers_that_is_interrupted_says_how_to_go_on(
    executor, sent, status, word, job, tmp_path
):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = job.start(executor, stderr=subprocess.PIPE, TMPDIR=str(scratch))
    deadline = time.monotonic() + 60
    while job.kept() < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    if sent == signal.SIGINT:
        # as a terminal does, to all of its processes
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    _, said = process.communicate()
    (line,) = said.decode().splitlines()
    assert line == f"bphcoffea: {word}; to continue, repeat the command with --resume"
    assert process.returncode == status
    assert list(scratch.rglob("*")) == []
    assert not list((tmp_path / "run").glob(".writing*"))


def test_run_that_is_interrupted_says_how_to_go_on(job, bphcoffea, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    original = Checkpoints.save

    def save(self, *arguments):
        original(self, *arguments)
        if job.kept() == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Checkpoints, "save", save)
    ended = bphcoffea(*job.words("iterative"))
    line = "bphcoffea: interrupted; to continue, repeat the command with --resume"
    assert (ended.status, ended.errors) == (130, [line])
    assert job.kept() == 3
    assert list(scratch.rglob("*")) == []
    assert not list((tmp_path / "run").glob(".writing*"))


def test_chunks_that_cannot_be_kept_are_not_lost(job, monkeypatch):
    # as where the workers' machines don't have the client's folder, nor may make it
    def refuse(self, system, path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Checkpoints, "prepare", lambda *_: None)
    monkeypatch.setattr(Checkpoints, "_make", refuse)
    folder, processed = job.run()
    assert folder.complete
    assert folder.read("metrics.json")["chunks_not_kept"] == processed > 0


def test_worker_makes_the_folder_that_it_lacks(job, monkeypatch):
    monkeypatch.setattr(Checkpoints, "prepare", lambda *_: None)
    assert cut_off(job, 3) == 3
    (kept,) = job.checkpoints.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o700


def test_status_of_a_run_that_took_all_from_checkpoints(job, tmp_path, monkeypatch, bphcoffea):
    monkeypatch.setattr(Checkpoints, "clear", lambda self: None)
    _, first = job.run()
    folder, processed = job.run()
    assert processed == 0
    assert folder.read("metrics.json")["chunks_resumed"] == first
    status, out, _ = bphcoffea("status", tmp_path / "run")
    assert status == 0
    assert "none" in out


def test_home_that_cannot_be_written_means_no_checkpoints(job, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert default_place() is None
    folder, _ = job.run(checkpoints=None, resume=False)
    assert folder.complete
    with pytest.raises(InputError, match="give their place"):
        job.run(checkpoints=None)


def test_run_folder_holds_no_pickles(job, tmp_path):
    job.run()
    names = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert names <= {".json", ".parquet", ".root"}
    assert RunFolder(tmp_path / "run").complete
    assert json.loads((tmp_path / "run" / "ledger.json").read_text())["failed"] == []


@pytest.fixture
def one_file(tmp_path, data):
    """A fileset of one file, which may be replaced, in chunks of 100 events."""
    place = tmp_path / "a.root"
    shutil.copy(data / "tree3mu_phipi_2017.root", place)
    return place, write_fileset(tmp_path / "one.json", {"D": [place]})


def processed_with_kept(job, monkeypatch, fileset, between, **changes):
    """Chunks processed by two runs, between which something happens; checkpoints stay."""
    monkeypatch.setattr(Checkpoints, "clear", lambda self: None)
    _, first = job.run(fileset=fileset, chunksize=100, **changes)
    between()
    folder, second = job.run(fileset=fileset, chunksize=100, **changes)
    return first, second, folder


def test_file_that_was_mended_is_not_answered_from_an_old_checkpoint(job, one_file, monkeypatch):
    # same UUID, same size, same time of modification: as rsync mends a file
    place, fileset = one_file
    times = place.stat()

    def mend():
        other = place.with_name("mended")
        shutil.copy(place, other)
        os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
        other.replace(place)

    first, second, _ = processed_with_kept(job, monkeypatch, fileset, mend)
    assert first == second > 1


def test_label_of_figures_is_no_part_of_the_key(job, one_file, monkeypatch):
    place, fileset = one_file

    def relabel():
        write_fileset(fileset, {"D": [place]}, label="Data 2017D")

    _, second, folder = processed_with_kept(job, monkeypatch, fileset, relabel)
    assert second == 0
    assert folder.complete


def test_metadata_that_an_analysis_may_use_are_part_of_the_key(job, one_file, monkeypatch):
    place, fileset = one_file

    def change():
        write_fileset(fileset, {"D": [place]}, luminosity=3.0)

    first, second, _ = processed_with_kept(job, monkeypatch, fileset, change)
    assert first == second


@pytest.mark.xrootd
@pytest.mark.parametrize("protocol", ["root", "http"])
def test_file_replaced_on_a_server_is_not_answered_from_an_old_checkpoint(
    protocol, job, one_file, served, monkeypatch, tmp_path
):
    folder, run_folder = served
    shutil.copy(one_file[0], folder / "a.root")
    with services.xrootd_server(folder, run_folder, http=True) as server:
        url = server.url("a.root") if protocol == "root" else server.http_url("a.root")
        fileset = write_fileset(tmp_path / "served.json", {"D": [url]})
        first, again, _ = processed_with_kept(job, monkeypatch, fileset, lambda: None)
        assert (first > 1, again) == (True, 0)
        os.utime(folder / "a.root", (1e9, 1e9))
        _, second = job.run(fileset=fileset, chunksize=100)
    assert second == first


def test_file_replaced_during_the_run_is_a_fault_of_that_file(job, one_file, tmp_path, data):
    place, _ = one_file
    sound = made_again(data / "tree3mu_phipi_2017.root", tmp_path / "b.root")
    fileset = write_fileset(tmp_path / "two.json", {"D": [place, sound]})
    uuid_at = place.read_bytes().find(uuid_of(place))

    def replace():
        content = bytearray(place.read_bytes())
        content[uuid_at] ^= 1
        place.write_bytes(content)

    with pytest.MonkeyPatch.context() as patch:
        # after the files were opened, before their chunks are
        patch.setattr(FaultTolerantRunner, "__post_init__", replaced(replace))
        folder, _ = job.run(fileset=fileset, retries=ONCE)
    failed = folder.read("ledger.json")["failed"]
    assert {failure["file"] for failure in failed} == {str(place)}
    assert all("was it replaced during the run?" in failure["error"] for failure in failed)


def uuid_of(place):
    with uproot.open(place) as root:
        return root.file.uuid.bytes


def replaced(before):
    original = FaultTolerantRunner.__post_init__

    def post_init(self):
        before()
        original(self)

    return post_init


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_damaged_checkpoint_is_as_good_as_none(part, bit, cut, tmp_path):
    chunks = Checkpoints(str(tmp_path / "kept"), "code", resume=True)
    chunks.prepare(Path("results"), "mine")
    chunk = WorkItem("D", "a.root", "tree", 0, 3, b"")
    chunks.save({"metrics": {"entries": 3}, "out": [1.0, 2.0, 3.0]}, chunk)
    (kept,) = (tmp_path / "kept").glob("*.lz4")
    content = bytearray(kept.read_bytes())
    at = int(part * len(content))
    if cut:
        del content[at:]
    else:
        content[at] ^= 1 << bit
    kept.write_bytes(content)
    assert chunks.load(chunk) is None
    chunks.save({"metrics": {"entries": 3}, "out": [1.0]}, chunk)
    assert chunks.load(chunk)["out"] == [1.0]


def test_run_with_a_flipped_bit_in_each_checkpoint_gives_the_same_result(job):
    kept = cut_off(job, 5)
    for position, path in enumerate(sorted(job.checkpoints.glob("*/*.lz4"))):
        content = bytearray(path.read_bytes())
        content[position * (len(content) // 5)] ^= 16
        path.write_bytes(content)
    folder, processed = job.run()
    assert kept >= 5
    assert processed == folder.read("ledger.json")["chunks"]
    assert_same(folder, job.run("whole", checkpoints=None, resume=False)[0])
