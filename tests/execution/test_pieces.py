"""Chunks that do not fit into the memory of a worker: cut, every event once, and none lost."""

import functools
import itertools
import textwrap

import pytest
import services
from coffea.processor.executor import WorkItem
from hypothesis import example, given
from hypothesis import strategies as st

from bphcoffea.datasets import Fileset, load_fileset
from bphcoffea.execution import Options, load_analysis, memory, pieces, run
from bphcoffea.execution.runner import failed
from bphcoffea.results.ledger import Entries

ANALYSIS = """
    import os
    from bphcoffea.analysis import Analysis, Axis, Candidates, Cut, Histogram, Selection, Variable
    from bphcoffea.inputs import TwoMuTrackSchema

    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)

    class Hungry(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(Cut("vertex", chi2 >= 0))
        histograms = (Histogram("chi2", chi2, Axis(20, 0, 20)),)
        columns = (chi2,)

        def prepare(self, events):
            known = events.metadata
            if "entrystart" in known:
                start, stop = known["entrystart"], known["entrystop"]
                BODY
            return super().prepare(events)
"""
NO_MEMORY = 'if stop - start > 1500: raise MemoryError("no room")'
DEADLY = "if stop - start > 4500 or start <= 5100 < stop: os.kill(os.getpid(), 9)"
#: Holds memory in proportion to the number of events for a moment, bytes per event.
HUNGRY = 'import time; held = b"1" * (PER_EVENT * (stop - start)); time.sleep(1); del held'
PAIRS = st.tuples(st.integers(0, 30_000), st.integers(1, 30_000))


def hungry_in(folder, body):
    """Load an analysis that does something before it looks at its events."""
    path = folder / "hungry.py"
    path.write_text(textwrap.dedent(ANALYSIS).replace("BODY", body))
    return load_analysis(str(path))


@pytest.fixture
def hungry(tmp_path):
    return functools.partial(hungry_in, tmp_path)


@pytest.fixture(scope="module")
def one_file(ds_phipi_toys):
    """A dataset of one file of 8000 events."""
    fileset = load_fileset(ds_phipi_toys / "fileset.json")
    first = dict([next(iter(fileset["toy_2017"].files.items()))])
    return Fileset({"D": fileset["toy_2017"].model_copy(update={"files": first})})


@pytest.fixture(scope="module")
def whole(one_file, tmp_path_factory):
    """A run in a single chunk."""
    folder = tmp_path_factory.mktemp("whole")
    return run(hungry_in(folder, "pass"), one_file, folder / "run", Options("iterative"))


@pytest.fixture
def assert_same(whole):
    """Compare a run with one in a single chunk."""

    def assert_same(folder):
        assert folder.complete
        assert folder.cutflow == whole.cutflow
        assert folder.candidates("D").equals(whole.candidates("D"))
        assert folder.histograms() == whole.histograms()
        ranges = [(row["start"], row["stop"]) for row in folder.chunks.to_pylist()]
        assert (ranges[0][0], ranges[-1][1]) == (0, 8000)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))
        return [stop - start for start, stop in ranges]

    return assert_same


@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_chunk_that_runs_out_of_memory_is_halved(executor, hungry, one_file, assert_same, tmp_path):
    options = Options(executor, workers=1)
    folder = run(hungry(NO_MEMORY), one_file, tmp_path / "run", options)
    assert assert_same(folder) == [1000] * 8


@pytest.mark.filterwarnings("ignore::UserWarning")  # loky's, of processes that die
def test_only_the_part_that_kills_is_lost(hungry, one_file, tmp_path):
    options = Options("futures", workers=1, checkpoints=str(tmp_path / "kept"))
    folder = run(hungry(DEADLY), one_file, tmp_path / "run", options)
    ledger = folder.read("ledger.json")
    (failure,) = ledger["failed"]
    assert (failure["start"], failure["stop"]) == (5000, 6000)
    assert "killed 3 workers" in failure["error"]
    assert ledger["processed_events"] == ledger["expected_events"] - 1000 == 7000
    # other chunks than before: nothing is lost, and nothing twice
    options = Options("iterative", chunksize=3000, checkpoints=str(tmp_path / "kept"), resume=True)
    assert (
        run(hungry("pass"), one_file, tmp_path / "run", options).cutflow["D"][0]["events"] == 8000
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # Dask's, of each worker that dies
def test_workers_of_a_small_cluster_are_not_killed_twice(hungry, one_file, assert_same, tmp_path):
    analysis = hungry(HUNGRY.replace("PER_EVENT", "80_000"))
    with services.dask_cluster(tmp_path / "cluster", 1, memory="800MB") as cluster:
        # the worker measures, and cuts the chunk to half of its memory
        options = Options("dask", scheduler=cluster.address)
        assert max(assert_same(run(analysis, one_file, tmp_path / "cut", options))) < 5000
        assert "restarting" not in cluster.log.read_text().lower()
        # if it believes that it has more, it is killed, and the client halves the chunk
        options = Options("dask", scheduler=cluster.address, memory=50 * 10**9)
        assert assert_same(run(analysis, one_file, tmp_path / "halved", options)) == [4000, 4000]
        assert "restarting" in cluster.log.read_text().lower()


class Machine:
    """A process whose memory grows in proportion to the events that it processes."""

    def __init__(self, idle, per_event, left_behind):
        self.idle, self.per_event, self.left_behind = idle, per_event, left_behind
        self.resident = self.highest = idle
        self.sizes = []

    def process(self, piece):
        self.sizes.append(len(piece))
        needed = self.idle + self.per_event * len(piece)
        # memory that an earlier piece left behind is used again
        self.highest = max(needed, self.resident)
        self.resident = self.idle + self.left_behind * (self.highest - self.idle)

    def release(self):
        self.resident = self.idle


@example(per_event=40_000.0, left_behind=1.0, chunks=[(0, 20_000)] * 10)
@given(per_event=st.floats(0, 200_000), left_behind=st.floats(0, 1), chunks=st.lists(PAIRS))
def test_pieces_fit_into_the_memory_and_are_no_smaller_than_they_must_be(
    per_event, left_behind, chunks
):
    machine = Machine(300e6, per_event, left_behind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "resident", lambda: machine.resident)
        patch.setattr(memory, "release", machine.release)
        limit = 1.3e9
        sizes = pieces.PieceSizes(limit)
        for start, length in chunks:
            todo = [WorkItem("D", "a.root", "t", start, start + length, b"")]
            seen = 0
            while todo:
                piece, *todo = sizes.cut(todo[0])
                assert piece.entrystart == start + seen
                seen += len(piece)
                is_known = bool(machine.sizes)
                machine.process(piece)
                sizes.measured(piece, machine.highest)
                if is_known and len(piece) > pieces.SMALLEST:
                    assert machine.highest <= limit * 1.001
            assert seen == length
    # half of what fits, or more: equal pieces may be smaller by up to a factor of two
    if per_event:
        fitting = max((limit - machine.idle) / max(per_event, pieces._GUESS), pieces.SMALLEST)
        least = sum(-(-length // (fitting / 2)) + 1 for _, length in chunks)
        assert len(machine.sizes) <= least


@given(
    whole=PAIRS,
    smaller=st.integers(300, 40_000),
    bad=st.sets(st.integers(0, 60_000), max_size=3),
    chosen=st.integers(500, 3000),
)
def test_every_entry_is_in_one_piece_or_lost_with_a_reason(whole, smaller, bad, chosen):
    start, length = whole
    chunk = WorkItem("D", "a.root", "t", start, start + length, b"", {"file": "a.root"})

    def work(_retries, _skip, _function, task, **_options):
        piece, processor = task
        assert processor == "processor"
        entries = range(piece.entrystart, piece.entrystop)
        if len(piece) > smaller or any(entry in entries for entry in bad):
            if pieces.halves(piece):
                raise pieces.TooLargeError
            return failed(piece, "out of memory", 1)
        done = Entries({("a.root", "t"): ((piece.entrystart, piece.entrystop),)})
        return {"out": {"D": done}, "metrics": {"entries": len(piece)}}

    class Kept:
        def load(self, _chunk):
            return None

        def save(self, output, saved):
            self.saved.append((output, saved))

    kept = Kept()
    kept.saved = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "SMALLEST", chosen)
        plan = pieces.MemoryPlan(measured=False)
        task = (chunk, "processor")
        output = pieces.work_in_pieces(work, plan, kept, 0, False, None, task)
    lost = [(failure.start, failure.stop) for failure in output.get("failed", ())]
    ranges = output["out"].get("D", Entries()).ranges.get(("a.root", "t"), ())
    covered = sorted((*lost, *ranges))
    assert (covered[0][0], covered[-1][1]) == (start, start + length)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(covered))
    assert all(stop - start < 2 * chosen for start, stop in lost)
    assert kept.saved == ([] if lost else [(output, chunk)])


def test_a_chunk_of_an_earlier_run_is_not_processed():
    class Kept:
        def load(self, chunk):
            return {"out": {}, "resumed": 1, "chunk": chunk}

    chunk = WorkItem("D", "a.root", "t", 0, 5000, b"")
    plan = pieces.MemoryPlan(measured=False)
    output = pieces.work_in_pieces(None, plan, Kept(), 0, False, None, chunk)
    assert output["chunk"] == chunk
