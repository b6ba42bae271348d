"""A tree that contradicts itself, or expands too far, is a fault found before it is read."""

import shutil
import subprocess
import sys
import zlib
from types import SimpleNamespace

import cramjam
import numpy as np
import pytest
import uproot
from damage import forge_cluster, forge_entries

from bphcoffea.datasets import file_check as check
from bphcoffea.datasets.file_check import FileToOpen
from bphcoffea.errors import InputError
from bphcoffea.size_limits import LimitExceededError
from bphcoffea.storage.decompression import decompress_within
from bphcoffea.storage.servers import ONCE

#: As far as messages of uproot look at it.
SOURCE = SimpleNamespace(file_path="a.root")
OTHER_ENTRIES = [0, 999, 1001, 2001, 2**31, 2**40, 2**62, -1]


def inspected(path, tree="ntuple", **expected):
    (report,) = check.inspect(ONCE, FileToOpen("D", str(path), tree, **expected))
    return report


def assert_fault(report, text):
    assert report.unreadable
    assert report.problems == ()
    assert text in report.unreadable
    assert "\n" not in report.unreadable


@pytest.fixture(scope="module", params=["ROOT", "uproot"])
def tree_file(request, data, tmp_path_factory):
    """A file whose TTree is not compressed, of 2000 entries."""
    path = tmp_path_factory.mktemp("tree") / "a.root"
    if request.param == "ROOT":
        return shutil.copy(data / "codec_none.root", path)
    with uproot.recreate(path) as root:
        tree = root.mktree(
            "ntuple", {"evt": np.dtype("u4"), "pt": np.dtype("f4"), "tracks": "var * float32"}
        )
        for start in (0, 1200):
            numbers = np.arange(start, min(start + 1200, 2000))
            lists = [[float(i)] * (i % 4) for i in numbers]
            tree.extend({"evt": numbers.astype("u4"), "pt": numbers / 7, "tracks": lists})
    return path


@pytest.mark.parametrize("entries", OTHER_ENTRIES)
@pytest.mark.parametrize("branches", [(), ("evt", "pt", "tracks")], ids=["tree", "branches too"])
def test_entries_that_the_baskets_do_not_hold_are_a_fault(entries, branches, tree_file, tmp_path):
    forged = forge_entries(tree_file, tmp_path / "forged.root", "ntuple", entries, branches)
    for needed in ((), ("evt",), ("tracks",)):
        report = inspected(forged, branches=needed)
        assert_fault(report, f"the tree has {entries} entries, but ")
        assert report.entries is None, "a wrong number is not counted as what is missing"
    assert inspected(forged, entries=2000).entries == 2000


def test_a_branch_that_is_shorter_matters_only_where_it_is_needed(tree_file, tmp_path):
    whole = forge_entries(tree_file, tmp_path / "all.root", "ntuple", 1990, ("pt",))
    back = forge_entries(whole, tmp_path / "back.root", "ntuple", 2000)
    assert inspected(back, branches=("evt",)).wrong == ()
    assert_fault(inspected(back, branches=("evt", "pt")), "its branch 'pt' 1990")


@pytest.fixture(scope="module")
def rntuple_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rntuple") / "a.root"
    with uproot.recreate(path, compression=None) as root:
        lists = [[float(i)] * (i % 4) for i in range(2000)]
        root.mkrntuple("ntuple", {"evt": np.arange(2000), "tracks": lists, "name": ["a"] * 2000})
    return path


@pytest.mark.parametrize("entries", [0, 999, 2001, 2**31, 2**40, 2**55])
@pytest.mark.parametrize("footer", [False, True])
def test_entries_that_the_pages_do_not_hold_are_a_fault(entries, footer, rntuple_file, tmp_path):
    forged = forge_cluster(rntuple_file, tmp_path / "forged.root", "ntuple", entries, footer=footer)
    said = f"cluster 0 has {entries} entries, but its pages" if footer else "the footer has 2000"
    report = inspected(forged)
    assert_fault(report, said)
    assert report.entries is None


@pytest.mark.parametrize("name", ["none", "zlib", "lzma", "lz4", "zstd", "rntuple"])
def test_what_root_wrote_is_sound(name, data):
    assert inspected(data / f"codec_{name}.root", entries=2000).wrong == ()


@pytest.fixture
def bomb(tmp_path):
    """A small file with a basket of 24 MB."""
    with uproot.recreate(tmp_path / "bomb.root", compression=uproot.ZSTD(5)) as root:
        root.mktree("ntuple", {"evt": np.dtype("u4"), "pt": np.dtype("f8")}).extend(
            {"evt": np.zeros(3_000_000, "u4"), "pt": np.zeros(3_000_000)}
        )
    return tmp_path / "bomb.root"


def test_a_basket_that_is_too_large_is_a_fault(bomb, monkeypatch):
    assert bomb.stat().st_size < 100_000
    assert inspected(bomb).wrong == ()
    monkeypatch.setenv("BPHCOFFEA_MAX_BASKET_MB", "20")
    assert_fault(inspected(bomb), "branch 'pt' has a basket of 24 MB, decompressed; the limit is")
    assert inspected(bomb, branches=("evt",)).wrong == ()


def test_a_column_of_a_cluster_that_is_too_large_is_a_fault(tmp_path, monkeypatch):
    with uproot.recreate(tmp_path / "a.root", compression=uproot.ZSTD(5)) as root:
        root.mkrntuple("ntuple", {"pt": np.zeros(3_000_000)})
    assert inspected(tmp_path / "a.root").wrong == ()
    monkeypatch.setenv("BPHCOFFEA_MAX_BASKET_MB", "2")
    assert_fault(inspected(tmp_path / "a.root"), "'pt' has a column of a cluster of 24 MB")


def test_a_limit_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("BPHCOFFEA_MAX_BASKET_MB", "-3")
    with pytest.raises(InputError, match="BPHCOFFEA_MAX_BASKET_MB=-3: expected a number of MB"):
        FileToOpen("D", "a.root", "t")


def test_a_basket_whose_size_the_tree_hides_is_refused_when_it_is_read(bomb):
    # the metadata of a tree may lie; the header of a basket is read before it expands
    decompress_within(20_000_000)
    with uproot.open(bomb) as root:
        assert len(root["ntuple/evt"].array()) == 3_000_000
        with pytest.raises(LimitExceededError, match="a basket expands to 24 MB"):
            root["ntuple/pt"].array()


@pytest.mark.parametrize("codec", [uproot.ZLIB(5), uproot.LZMA(5), uproot.ZSTD(5), uproot.LZ4(5)])
@pytest.mark.parametrize("told", [1000, 3_999_999, 4_000_001])
def test_a_block_that_holds_more_or_less_than_its_header_says_is_an_error(codec, told):
    decompress_within(2**30)
    block = bytearray(uproot.compression.compress(bytes(4_000_000), codec))
    block[6:9] = told.to_bytes(3, "little")
    for size in (told, 4_000_000):
        with pytest.raises((ValueError, zlib.error, cramjam.DecompressionError)):
            decompressed(block, size)


@pytest.mark.parametrize("codec", [uproot.ZLIB(5), uproot.LZMA(5), uproot.ZSTD(5), uproot.LZ4(5)])
@pytest.mark.parametrize("size", [1000, 1_000_000, 2**24 + 5000])
def test_blocks_are_decompressed_as_they_were(codec, size):
    decompress_within(2**30)
    content = (np.arange(size) // 1000 % 251).astype(np.uint8).tobytes()
    assert decompressed(uproot.compression.compress(content, codec), size) == content


@pytest.mark.parametrize("cut", [10, 100, -1])
def test_a_block_that_is_cut_off_is_an_error(cut):
    decompress_within(2**30)
    block = bytearray(uproot.compression.compress(bytes(range(256)) * 9, uproot.ZLIB(5)))[:cut]
    block[3:6] = (len(block) - 9).to_bytes(3, "little")
    with pytest.raises(ValueError, match="truncated"):
        decompressed(block, 256 * 9)


def decompressed(block, size):
    chunk = uproot.source.chunk.Chunk.wrap(SOURCE, np.frombuffer(bytes(block), np.uint8))
    cursor = uproot.source.cursor.Cursor(0)
    found = uproot.compression.decompress(chunk, cursor, {}, len(block), size)
    return found.raw_data.tobytes()


def test_a_block_that_expands_a_thousandfold_needs_no_memory(tmp_path):
    # 600 MB of zeros in a block whose header says 1000 bytes
    code = """
import resource, types, zlib
import numpy as np, uproot
from bphcoffea.storage.decompression import decompress_within
decompress_within(10**9)
source = types.SimpleNamespace(file_path="a.root")
packer = zlib.compressobj(1)
content = b"".join(packer.compress(bytes(10**7)) for _ in range(60)) + packer.flush()
head = b"ZL\\x08" + len(content).to_bytes(3, "little") + (1000).to_bytes(3, "little")
chunk = uproot.source.chunk.Chunk.wrap(source, np.frombuffer(head + content, np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    uproot.compression.decompress(
        chunk, uproot.source.cursor.Cursor(0), {}, len(head + content), 1000
    )
except ValueError:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50  # MB


@pytest.mark.parametrize(
    ("name", "unprotected"),
    [
        ("none", True),
        ("zlib", False),
        ("lzma", False),
        ("lz4", True),  # evt does not shrink under LZ4, and is stored as it is
        ("zstd", True),
        ("rntuple", True),
    ],
)
def test_compression_without_checksums_is_told(name, unprotected, data):
    assert inspected(data / f"codec_{name}.root").unprotected == unprotected


def test_lz4_that_shrinks_is_protected(data):
    assert not inspected(data / "codec_lz4.root", branches=("pt", "tracks")).unprotected


@pytest.mark.parametrize("name", ["zlib", "lzma", "lz4"])
def test_each_flipped_bit_of_a_protected_basket_is_seen(name, data, tmp_path):
    decompress_within(2**30)
    source, target = data / f"codec_{name}.root", tmp_path / "flipped.root"
    content = source.read_bytes()
    with uproot.open(source) as root:
        branch = root["ntuple/pt"]
        expected = branch.array(library="np")
        start = branch.member("fBasketSeek")[0] + branch.basket(0).member("fKeylen") + 9
        stop = branch.member("fBasketSeek")[0] + branch.basket_compressed_bytes(0)
    for place in range(start, stop, 7):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        target.write_bytes(flipped)
        with uproot.open(target) as root:
            try:
                found = root["ntuple/pt"].array(library="np")
            except Exception:  # noqa: BLE001 - whatever it is, it is seen
                continue
            assert np.array_equal(found, expected), place


def test_a_basket_that_its_blocks_do_not_fill_is_an_error():
    decompress_within(2**30)
    block = uproot.compression.compress(bytes(1000), uproot.LZ4(5))
    with pytest.raises(ValueError, match="the blocks of a basket hold 1000 of 2000 bytes"):
        decompressed(block, 2000)
