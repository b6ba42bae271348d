"""Columns that are decoded here equal uproot's, and everything unusual is left to uproot."""

import shutil

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import example, given
from hypothesis import strategies as st
from like_uproot import assert_equal

from bphcoffea import reading
from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.reading.baskets import Decoder, UnusualError, ranges
from bphcoffea.reading.opened_files import KEPT
from bphcoffea.reading.strings import lists_of_strings

LIMIT = 200_000_000
TREE = "Tree3Mu/ntuple"


def decoded(file, branch, start, stop, limit=LIMIT, threads=1):
    baskets = [*file.read(ranges(branch, start, stop))]
    return Decoder(start, stop, limit, threads).decode(branch, baskets)


def compare(path, tree, names=None):
    """Compare all branches with uproot, of the whole tree and of a part that cuts baskets."""
    file = reading.opened(str(path), 60)
    branches = file.root[tree]
    entries = branches.num_entries
    compared = 0
    for start, stop in ((0, entries), (entries // 3, 2 * entries // 3)):
        decoder = Decoder(start, stop, LIMIT)
        for name in names or branches.keys():
            branch = branches[name]
            try:
                places = ranges(branch, start, stop)
            except UnusualError:
                continue
            here = ak.Array(decoder.decode(branch, [*file.read(places)]))
            assert_equal(here, branch.array(entry_start=start, entry_stop=stop))
            compared += 1
    return compared


@pytest.mark.parametrize("codec", ["none", "zlib", "lzma", "lz4", "zstd"])
def test_all_compressions_are_read_as_by_uproot(data, codec):
    path = data / f"codec_{codec}.root"
    with uproot.open(path) as file:
        (tree,) = [key for key, kind in file.classnames(cycle=False).items() if kind == "TTree"]
    assert compare(path, tree) > 2


def test_vectors_and_strings_are_read_as_by_uproot(data):
    with uproot.open(data / "tree3mu_phipi_2017.root") as file:
        branches = len(file[TREE].keys())
        types = set(file[TREE].typenames().values())
    assert {"std::vector<double>", "std::vector<float>", "std::vector<std::string>"} <= types
    assert compare(data / "tree3mu_phipi_2017.root", TREE) == 2 * branches


def test_counted_arrays_of_nanoaod_are_read_as_by_uproot(nanoaod):
    path = nanoaod / "nano_dy.root"
    with uproot.open(path) as file:
        names = file["Events"].keys()
    assert compare(path, "Events", names[::10]) == 2 * len(names[::10])


@given(
    lists=st.lists(
        st.lists(st.floats(width=32) | st.just(np.nan), max_size=4), min_size=1, max_size=30
    ),
    dtype=st.sampled_from(["f4", "f8", "i4", "i2", "u1", "?"]),
    basket=st.integers(1, 9),
    ends=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    threads=st.sampled_from([1, 3]),
)
@example([[float(number)] * (number % 4) for number in range(30)], "f4", 2, (0, 30), 3)
def test_any_lists_in_any_baskets(tmp_path_factory, lists, dtype, basket, ends, threads):
    path = tmp_path_factory.mktemp("lists") / "lists.root"
    with np.errstate(all="ignore"):
        flat = np.concatenate([np.asarray(each, "f8") for each in lists]).astype(dtype)
    array = ak.unflatten(flat, [len(each) for each in lists])
    with uproot.recreate(path) as file:
        tree = file.mktree("t", {"x": f"var * {np.dtype(dtype)}"})
        for first in range(0, len(array), basket):
            tree.extend({"x": array[first : first + basket]})
    start, stop = (min(end, len(array)) for end in sorted(ends))
    file = reading.OpenedFile(str(path), 60)
    try:
        for name in ("x", "nx"):
            branch = file.root["t"][name]
            if start == stop:
                with pytest.raises(UnusualError):
                    ranges(branch, start, stop)
                continue
            theirs = branch.array(entry_start=start, entry_stop=stop)
            here = decoded(file, branch, start, stop, threads=threads)
            assert_equal(ak.Array(here), theirs)
    finally:
        file.close()


def stored(lists):
    """Lists of strings as ROOT stores them, and the place of each entry."""
    content, offsets = b"", [0]
    for texts in lists:
        content += b"@\0\0\0\0\t" + len(texts).to_bytes(4, "big")
        for text in texts:
            size = len(text)
            content += (bytes([size]) if size < 255 else b"\xff" + size.to_bytes(4, "big")) + text
        offsets.append(len(content))
    return content, np.array(offsets)


names = st.sampled_from([b"HLT_A_v1", b"HLT_A_v2", b"HLT_B_v1", b"", b"x" * 254, b"y" * 255])


@given(st.lists(st.lists(names, max_size=4), min_size=1, max_size=60))
def test_any_strings(lists):
    content, offsets = stored(lists)
    found = ak.Array(lists_of_strings(content, offsets, header=10))
    assert found.to_list() == [[text.decode() for text in texts] for texts in lists]
    assert len(found.layout.content.content) == len({text for each in lists for text in each})


def test_strings_that_nearly_always_differ_are_left_to_uproot():
    content, offsets = stored([[str(number).encode()] for number in range(2000)])
    assert lists_of_strings(content, offsets, header=10) is None


@given(st.lists(st.lists(names, max_size=4), min_size=1, max_size=5), st.integers(1, 400))
@example([[]], 305)  # the whole of the last string
def test_truncated_strings_are_left_to_uproot(lists, removed):
    lists = [*lists, [b"x" * 300, b"y" * 300]]
    content, offsets = stored(lists)
    offsets[-1] -= removed
    assert lists_of_strings(content[: offsets[-1]], offsets, header=10) is None


@pytest.mark.parametrize("damage", ["key", "last", "entries", "content", "end", "table"])
def test_damaged_basket_is_left_to_uproot(data, damage):
    file = reading.opened(str(data / "tree3mu_phipi_2017.root"), 60)
    branch = file.root[TREE]["Triplet2_Mass"]
    stop = int(branch.entry_offsets[1])
    (raw,) = file.read(ranges(branch, 0, stop))
    key = int.from_bytes(raw[14:16], "big")
    damaged = bytearray(raw)
    if damage == "key":
        damaged[14:16] = b"\0\0"
    elif damage == "last":
        damaged[key - 5 : key - 1] = b"\x7f\xff\xff\xff"
    elif damage == "entries":
        damaged[key - 9 : key - 5] = (stop + 1).to_bytes(4, "big")
    elif damage == "content":
        damaged[key + 20 : key + 120] = bytes(100)
    elif damage == "end":
        damaged = damaged[:-7]
    else:  # one byte less of values, so that the table begins too early
        last = int.from_bytes(damaged[key - 5 : key - 1], "big")
        damaged[key - 5 : key - 1] = (last - 4).to_bytes(4, "big")
    Decoder(0, stop, LIMIT).decode(branch, [bytes(raw)])
    with pytest.raises(UnusualError):
        Decoder(0, stop, LIMIT).decode(branch, [bytes(damaged)])


def test_basket_beyond_the_limit_is_left_to_uproot(data):
    file = reading.opened(str(data / "tree3mu_phipi_2017.root"), 60)
    branch = file.root[TREE]["Triplet2_Mass"]
    with pytest.raises(UnusualError):
        decoded(file, branch, 0, 10, limit=1000)


def test_each_branch_is_read_once(data):
    file = reading.opened(str(data / "tree3mu_phipi_2017.root"), 60)
    columns = reading.Columns(lambda: file, TREE, 10, 60, LIMIT)
    events = columns.events(TwoMuTrackSchema, {"dataset": "D"})
    assert columns.used == set()
    before = file.bytes_read
    mass = ak.materialize(events.Triplet.mass)
    once = file.bytes_read - before
    size = ranges(file.root[TREE]["Triplet2_Mass"], 10, 60)
    assert once == sum(stop - start for start, stop in size)
    ak.materialize(events.Triplet.mass[mass > 1.9])
    assert file.bytes_read == before + once
    assert columns.used == {"Triplet2_Mass"}
    theirs = file.root[TREE]["Triplet2_Mass"].array(entry_start=10, entry_stop=60)
    assert mass.to_list() == theirs.to_list()


def test_a_server_is_asked_once_for_all_expected_branches(tmp_path, requests_of):
    """Also if the one that is used first is left to uproot, and whatever else is expected."""
    numbers = np.arange(30.0)
    content = {"fixed": numbers.reshape(10, 3), "a": numbers[:10], "b": numbers[10:20]}
    with uproot.recreate(tmp_path / "t.root") as root:
        root.mktree("t", {name: (array.dtype, array.shape[1:]) for name, array in content.items()})
        root["t"].extend(content)
    file = reading.OpenedFile(str(tmp_path / "t.root"), 60)
    asked = requests_of(file)
    file.is_remote = True
    columns = reading.Columns(lambda: file, "t", 0, 10, LIMIT, ["a", "absent", "fixed", "b"])
    for name, array in content.items():
        found = columns.extract_column(name, 0, 10, allow_missing=False)
        assert found.to_list() == array.tolist()
    assert [len(places) for places in asked] == [2]
    file.is_remote = False  # as it is closed
    file.close()


def test_files_stay_open_until_they_change(data, tmp_path):
    paths = [shutil.copy(data / "codec_zlib.root", tmp_path / f"{n}.root") for n in range(KEPT + 1)]
    files = [reading.opened(str(path), 60) for path in paths[:KEPT]]
    assert all(reading.opened(str(p), 60) is f for p, f in zip(paths, files, strict=False))
    shutil.copy(data / "codec_lzma.root", paths[1])
    assert reading.opened(str(paths[1]), 60).root.file.compression.name == "LZMA"
    reading.opened(str(paths[KEPT]), 60)
    assert files[0].root.closed  # the longest unused
    assert not files[2].root.closed
    reading.forget(str(paths[2]))
    assert files[2].root.closed
