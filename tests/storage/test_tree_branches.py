"""Branches of a TTree that are parsed here equal those that uproot parses by itself."""

import numpy as np
import pytest
import uproot
from hypothesis import example, given
from hypothesis import strategies as st
from uproot.models.TBranch import Model_TBranch, Model_TBranch_v13
from uproot.source.chunk import Chunk
from uproot.source.cursor import Cursor

from bphcoffea.storage import tree_branches

SAMPLES = {
    "nano_dy.root": "Events",
    "nano_dy_empty.root": "Events",
    "nano_tt_v15.root": "Events",
    "PHYSLITE_example.root": "CollectionTree",
    "p8_ee_WW_ecm240_edm4hep.root": "events",
    "test_FCC_Spring2021.root": "events",
}
FIXTURES = {
    "codec_none.root": "ntuple",
    "tree3mu_phipi_2017.root": "Tree3Mu/ntuple",
    "wztree_hnl_mc.root": "wztree",
}


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setitem(Model_TBranch.known_versions, 13, Model_TBranch_v13)


def by_uproot(parse):
    Model_TBranch.known_versions[13] = Model_TBranch_v13
    return parse()


def parsed_here(parse):
    tree_branches.parse_branches()
    return parse()


def opened(path, name):
    return uproot.open(path, object_cache=None)[name]


def assert_same(here, expected, path="tree", seen=None):
    """Compare all that can be reached from two objects of uproot."""
    seen = set() if seen is None else seen
    if id(expected) in seen:
        return
    seen.add(id(expected))
    assert type(here).__name__ == type(expected).__name__, path
    if isinstance(expected, uproot.model.Model):
        for name in ("_members", "_bases", "_parent", "_concrete", "_instance_version", "_data"):
            if hasattr(expected, name):
                at = f"{path}.{name}"
                assert_same(getattr(here, name), getattr(expected, name), at, seen)
        assert vars(here).keys() == vars(expected).keys(), path
    elif isinstance(expected, dict):
        assert list(here) == list(expected), path
        for name, value in expected.items():
            assert_same(here[name], value, f"{path}[{name!r}]", seen)
    elif isinstance(expected, list):
        assert len(here) == len(expected), path
        for index, value in enumerate(expected):
            assert_same(here[index], value, f"{path}[{index}]", seen)
    elif isinstance(expected, np.ndarray):
        assert here.dtype == expected.dtype
        np.testing.assert_array_equal(here, expected, path)
    elif isinstance(expected, str | bytes | int | float | None):
        assert here == expected or here != here, path


def compare(path, name, left, monkeypatch):
    """Compare a tree with uproot's, which is returned; `left` gets what was left to uproot."""
    expected = by_uproot(lambda: opened(path, name))
    read = Model_TBranch_v13.read.__func__

    def counted(*arguments, **options):
        left.append(path)
        return read(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Model_TBranch_v13, "read", classmethod(counted))
        here = parsed_here(lambda: opened(path, name))
    assert_same(here, expected)
    for key in expected.keys(recursive=True):
        assert here[key].entry_offsets == expected[key].entry_offsets
        assert here[key].typename == expected[key].typename
    return expected


@pytest.mark.parametrize("name", SAMPLES)
def test_branches_of_samples_are_those_of_uproot(name, nanoaod, monkeypatch):
    left = []
    expected = compare(nanoaod / name, SAMPLES[name], left, monkeypatch)
    assert len(expected.branches) > 50
    assert not left


@pytest.mark.parametrize("name", FIXTURES)
def test_branches_of_ntuples_are_those_of_uproot(name, data, monkeypatch):
    left = []
    compare(data / name, FIXTURES[name], left, monkeypatch)
    assert not left


def test_leaves_that_are_not_known_are_left_to_uproot(data, monkeypatch):
    monkeypatch.setattr(tree_branches, "_LEAVES", {})
    left = []
    compare(data / "wztree_hnl_mc.root", "wztree", left, monkeypatch)
    assert not left


def test_branches_that_are_not_known_are_left_to_uproot(data, monkeypatch):
    # found after most of a branch was parsed
    monkeypatch.setattr(tree_branches, "_ARRAYS", (("fBasketBytes", np.dtype("V9999")),))
    left = []
    expected = compare(data / "wztree_hnl_mc.root", "wztree", left, monkeypatch)
    assert len(left) == len(expected.branches)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree of numbers and lists, one of which has a long name."""
    path = tmp_path_factory.mktemp("tree") / "t.root"
    branches = {"run": "int32", "weight": "float64", "long" * 70: "var * float32"}
    with uproot.recreate(path) as file:
        file.mktree("t", branches).extend(
            {"run": [1, 2], "weight": [0.5, 1.0], "long" * 70: [[1.0], [2.0, 3.0]]}
        )
    return opened(path, "t")


def parsed(tree, raw):
    """Parse the bytes of a tree; return the tree or the error."""
    key = tree.parent
    cursor = Cursor(0, origin=-key._fKeylen)
    context = {"breadcrumbs": (), "TKey": key}
    chunk = Chunk.wrap(tree.chunk.source, raw)
    try:
        return tree.file.class_named("TTree").read(
            chunk, cursor, context, tree.file, tree.file, key
        )
    except Exception as error:  # noqa: BLE001 - uproot raises nearly anything
        return error


# version of the features, size of the list of leaves, largest value of the first leaf
@example(at=301, value=64, size=1)
@example(at=352, value=0, size=1)
@example(at=475, value=128, size=1)
@given(at=st.integers(0, 10_000), value=st.integers(0, 255), size=st.integers(1, 4))
def test_damaged_branches_are_those_of_uproot(tree, at, value, size):
    """Whatever the bytes are, the outcome is the same object or the same error."""
    raw = np.array(tree.chunk.raw_data)
    at %= len(raw)
    raw[at : at + size] = value
    expected = by_uproot(lambda: parsed(tree, raw))
    here = parsed_here(lambda: parsed(tree, raw))
    assert type(here).__name__ == type(expected).__name__
    if not isinstance(expected, Exception):
        assert_same(here, expected)
