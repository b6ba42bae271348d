"""Results add up, in any order, and refuse to count anything twice."""

import copy
import itertools

import hist
import numpy as np
import pytest
from coffea.processor import accumulate
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.processing.columns import Columns
from bphcoffea.processing.luminosity_sections import LuminositySections
from bphcoffea.processing.processor import Processor
from bphcoffea.processing.result import DatasetResult
from bphcoffea.results import Cutflow
from bphcoffea.results.ledger import Entries, OverlapError


def chunk(start, stop, file="a.root"):
    known = {"filename": file, "treename": "t", "entrystart": start, "entrystop": stop}
    return Entries.of_chunk(known)


@given(edges=st.sets(st.integers(0, 50), min_size=2), seed=st.randoms())
def test_chunks_of_a_file_make_up_the_file(edges, seed):
    edges = sorted(edges)
    chunks = [chunk(a, b) for a, b in itertools.pairwise(edges)]
    seed.shuffle(chunks)
    total = sum(chunks, Entries())
    assert total == chunk(edges[0], edges[-1])
    assert len(total) == edges[-1] - edges[0]


@given(
    first=st.lists(st.booleans(), min_size=12, max_size=12),
    second=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_sum_is_the_union_or_raises(first, second):
    def entries(flags):
        return sum((chunk(i, i + 1) for i, flag in enumerate(flags) if flag), Entries())

    if any(a and b for a, b in zip(first, second, strict=True)):
        with pytest.raises(OverlapError, match=r"a\.root, tree 't': entries"):
            entries(first) + entries(second)
    else:
        union = [a or b for a, b in zip(first, second, strict=True)]
        assert entries(first) + entries(second) == entries(union)


def test_other_files_don_t_overlap():
    assert len(chunk(0, 10) + chunk(0, 10, "b.root")) == 20


def test_results_of_the_same_entries_don_t_add_up(data, ds_phipi, open_events):
    path = data / "tree3mu_phipi_2017.root"
    place = {"filename": str(path), "treename": "Tree3Mu/ntuple"}

    def result(start, stop):
        events = open_events(path, TwoMuTrackSchema, entrystart=start, entrystop=stop, **place)
        return Processor(ds_phipi).process(events[: stop - start])["test"]

    total = result(0, 100) + result(100, 200)
    assert total.events == 200
    names = result(0, 100).candidates.arrays()["file"]
    assert len(names) > 1
    assert len(set(map(id, names))) == 1  # one string for all rows, which would be larger than they
    with pytest.raises(OverlapError, match="entries 150-200 are in both"):
        total + result(150, 250)


@given(
    parts=st.lists(
        st.lists(st.tuples(st.integers(1, 3), st.integers(0, 99)), max_size=4), max_size=70
    )
)
def test_tables_don_t_depend_on_the_order_of_chunks(parts):
    def columns(rows):
        rows = np.array(rows, dtype=np.int64).reshape(-1, 2)
        return Columns({"run": rows[:, 0], "event": rows[:, 1]})

    empty = columns([])
    forward = sum(map(columns, parts), empty).table()
    backward = sum(map(columns, reversed(parts)), empty).table()
    assert forward.equals(backward)
    rows = sorted(tuple(row) for part in parts for row in part)
    assert list(zip(*forward.to_pydict().values(), strict=True)) == rows


@given(
    parts=st.lists(
        st.lists(st.tuples(st.integers(1, 2**31 - 1), st.integers(0, 2**32 - 1) | st.just(1))),
        max_size=70,
    )
)
def test_luminosity_sections_are_counted_once(parts):
    def sections(pairs):
        pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return LuminositySections(pairs[:, 0], pairs[:, 1])

    total = sum(map(sections, [*parts, *parts[:1]]), LuminositySections()).pairs()
    assert total.tolist() == sorted({pair: list(pair) for part in parts for pair in part}.values())


def filled(number, *variations):
    """Result of one entry with a histogram that has some variations."""
    axes = [hist.axis.StrCategory(["all"]), hist.axis.StrCategory(["nominal", *variations])]
    histogram = hist.Hist(*axes, hist.axis.Regular(2, 0, 2), storage=hist.storage.Weight())
    for place, name in enumerate(["nominal", *variations]):
        histogram.fill("all", name, [0.5, 1.5, 7.0], weight=[1 + number, 0.1 * place, 3])
    lumis = LuminositySections(np.array([1]), np.array([number]))
    return DatasetResult(
        chunk(number, number + 1), 1, 1.0, lumis, Cutflow.empty(("all",)), {"x": histogram}
    )


@pytest.mark.parametrize("others", [("up",), ("up", "down"), ()])
def test_results_that_coffea_adds(others):
    parts = [filled(0, "up"), filled(1, "up"), filled(2, *others), filled(3, "up")]
    before = copy.deepcopy(parts)
    total = accumulate([{"D": part} for part in parts])["D"]
    # each sum is a new histogram, and no part is changed
    expected = parts[0] + parts[1] + parts[2] + parts[3]
    assert total.histograms == expected.histograms
    contents = total.histograms["x"]["all", "nominal", :].values(flow=True)
    assert contents.tolist() == [0, 1 + 2 + 3 + 4, 0, 12]
    assert total.events == 4
    for part, same in zip(parts, before, strict=True):
        assert part.histograms == same.histograms
