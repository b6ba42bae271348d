"""Fields of RNTuples that are decoded here equal uproot's, and everything unusual is left to it."""

import awkward as ak
import pytest
import uproot
from hypothesis import example, given
from hypothesis import strategies as st
from like_uproot import assert_equal

from bphcoffea import reading
from bphcoffea.inputs import TwoMuTrackSchema
from bphcoffea.reading.pages import PageDecoder
from bphcoffea.reading.requests import UnusualError

LIMIT = 200_000_000
TREE = "Tree3Mu/ntuple"


@pytest.fixture(scope="module")
def toys(shared_folders):
    return shared_folders.toys("ds_phipi", 10_000, 1)


def compare(path, tree, names=None, threads=1):
    """Compare fields with uproot, of all entries and of a part that cuts pages; return how many."""
    file = reading.OpenedFile(str(path), 60)
    fields = file.root[tree]
    entries = fields.num_entries
    compared = 0
    for start, stop in ((0, entries), (entries // 3, 2 * entries // 3)):
        decoder = PageDecoder(file, tree, start, stop, LIMIT, threads)
        for name in names or fields.keys():
            try:
                here = ak.Array(decoder.decode(name))
            except UnusualError:
                continue
            theirs = fields[name].array(entry_start=start, entry_stop=stop)
            assert_equal(here, theirs)
            compared += 1
    file.close()
    return compared


def test_files_of_root_are_read_as_by_uproot(data):
    assert compare(data / "codec_rntuple.root", "ntuple") == 6
    with uproot.open(data / "pages.root") as file:
        names = file["events"].keys(recursive=False)
    for threads in (1, 3):
        assert compare(data / "pages.root", "events", names, threads) == 2 * len(names)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=2, unique=True).map(sorted))
@example([300, 600])
@example([299, 301])
@example([999, 1000])
def test_any_part_of_many_pages_and_clusters(data, ends):
    start, stop = ends
    file = reading.opened(str(data / "pages.root"), 60)
    decoder = PageDecoder(file, "events", start, stop, LIMIT)
    decoder.request(["masses", "paths"])
    for name in ("number", "flag", "text", "masses", "paths", "nested"):
        theirs = file.root["events"][name].array(entry_start=start, entry_stop=stop)
        assert ak.to_list(decoder.decode(name)) == theirs.to_list()


def test_toys_are_read_as_by_uproot(toys):
    path = toys / "toy_2017_0.root"
    with uproot.open(path) as file:
        types = set(file[TREE].typenames().values())
    assert "std::vector<std::string>" in types
    assert compare(path, TREE) > 100


@pytest.mark.samples
def test_nanoaod_is_read_as_by_uproot(nanoaod):
    """Bits, signed integers, and lists that share their offsets; collections are left to uproot."""
    path = nanoaod / "nano_dimuon_rntuple.root"
    with uproot.open(path) as file:
        names = file["Events"].keys(recursive=False)
    assert {"Muon_charge", "HLT_IsoMu24", "Muon_pt"} < {*names}
    names = [*names[::10], "Muon_charge", "HLT_IsoMu24", "Muon_pt", "nMuon"]
    assert compare(path, "Events", names) > len(names)


texts = st.sampled_from(["", "HLT_A_v1", "HLT_B_v1", "µ", "x" * 300])


@given(st.lists(st.lists(st.lists(texts, max_size=3), max_size=5), min_size=1, max_size=5))
@example([[["ab", "c"], ["a", "bc"], ["abc"], []], [], [["ab", "c"]]])
def test_any_lists_of_strings(tmp_path_factory, clusters):
    path = tmp_path_factory.mktemp("lists") / "lists.root"
    rows = [row for cluster in clusters for row in cluster]
    with uproot.recreate(path) as file:
        ntuple = file.mkrntuple("t", {"text": ak.Array([["a"]])[:0]})
        for cluster in filter(None, clusters):
            ntuple.extend({"text": ak.Array([*cluster, ["a"]])[:-1]})
    file = reading.OpenedFile(str(path), 60)
    try:
        decoder = PageDecoder(file, "t", 0, len(rows), LIMIT)
        if rows:
            found = decoder.decode("text")
            assert ak.to_list(found) == rows
            assert len(found.content.content) == len({text for row in rows for text in row})
    finally:
        file.close()


def test_strings_that_nearly_always_differ(tmp_path):
    rows = [[str(number), "same"] for number in range(1100)]
    with uproot.recreate(tmp_path / "t.root") as file:
        file.mkrntuple("t", {"text": ak.Array(rows)})
    file = reading.OpenedFile(str(tmp_path / "t.root"), 60)
    found = PageDecoder(file, "t", 0, len(rows), LIMIT).decode("text")
    assert ak.to_list(found) == rows
    assert isinstance(found.content, ak.contents.IndexedArray)
    file.close()


def test_several_fields_take_as_many_requests_as_their_lists_are_deep(toys, requests_of):
    """A server is asked for a level of all lists at once."""
    file = reading.OpenedFile(str(toys / "toy_2017_0.root"), 60)
    asked = requests_of(file)
    file.is_remote = True
    names = ["evt", "Triplet2_Mass", "Mu01_Pt", "MuonPt", "Trigger_hltname", "no such field"]
    stop = 500
    columns = reading.Columns(lambda: file, TREE, 0, stop, LIMIT, expected=names)
    events = columns.events(TwoMuTrackSchema, {"dataset": "D"})
    ak.materialize(events.Triplet.mass)
    assert len(asked) == 3  # the offsets of lists, what is in them, and the characters of strings
    ak.materialize(events.Muon.pt)
    assert len(asked) == 3
    theirs = file.root[TREE]["Triplet2_Mass"].array(entry_stop=stop)
    assert events.Triplet.mass.to_list() == theirs.to_list()
    file.close()


def test_equal_pages_are_read_once(data, requests_of):
    """ROOT stores them once, and they are freed when all fields have them."""
    file = reading.OpenedFile(str(data / "pages.root"), 60)
    asked = requests_of(file)
    decoder = PageDecoder(file, "events", 0, 1000, LIMIT)
    names = ["run", "masses", "charges"]
    decoder.request(names)
    for name in names:
        theirs = file.root["events"][name].array()
        assert ak.to_list(decoder.decode(name)) == theirs.to_list()
    offsets_and_numbers, elements = asked
    places = [*offsets_and_numbers, *elements]
    assert len({*places}) == len(places)
    assert decoder._received._bytes == {}
    file.close()


def test_only_pages_of_the_chunk_are_read(data):
    file = reading.OpenedFile(str(data / "pages.root"), 60)
    PageDecoder(file, "events", 0, 1000, LIMIT).decode("number")
    before = file.bytes_read
    PageDecoder(file, "events", 310, 320, LIMIT).decode("number")
    pages = file.root["events"].ntuple.page_link_list[1][0].pages
    assert len(pages) > 2
    assert file.bytes_read - before == pages[0].locator.num_bytes + 8  # with its checksum
    file.close()


@pytest.mark.parametrize("name", ["evt", "pt", "tracks"])
def test_a_page_that_differs_from_its_checksum_is_an_error(data, tmp_path, name):
    """uproot does not compare them: where nothing is compressed, it reads other numbers."""
    source = data / "codec_rntuple.root"
    content = bytearray(source.read_bytes())
    with uproot.open(source) as file:
        ntuple = file["ntuple"].ntuple
        field = ntuple.all_fields[[f.name for f in ntuple.all_fields].index(name)]
        column = ntuple._column_records_dict[field.field_id][0].idx
        place = ntuple.page_link_list[0][column].pages[0].locator
    content[place.offset + place.num_bytes // 2] ^= 1
    (tmp_path / "t.root").write_bytes(content)
    file = reading.OpenedFile(str(tmp_path / "t.root"), 60)
    with pytest.raises(ValueError, match="the checksum of a page is wrong"):
        PageDecoder(file, "ntuple", 0, 2000, LIMIT).decode(name)
    read = file.read
    file.read = lambda places: (part[:-4] for part in read(places))
    with pytest.raises(UnusualError):  # uproot says that the file is truncated
        PageDecoder(file, "ntuple", 0, 2000, LIMIT).decode(name)
    file.close()


@pytest.mark.parametrize("damage", ["content", "end"])
def test_damaged_and_incomplete_pages_are_left_to_uproot(toys, tmp_path, damage):
    """Those of uproot have no checksums."""
    content = bytearray((toys / "toy_2017_0.root").read_bytes())
    with uproot.open(toys / "toy_2017_0.root") as file:
        ntuple = file[TREE].ntuple
        record = ntuple.column_records[0]
        place = ntuple.page_link_list[0][0].pages[0].locator
    file = reading.OpenedFile(str(toys / "toy_2017_0.root"), 60)
    name = ntuple.all_fields[record.field_id].name
    PageDecoder(file, TREE, 0, 100, LIMIT).decode(name)
    if damage == "content":
        content[place.offset + 9 : place.offset + 60] = bytes(51)
    else:
        content = content[: place.offset + place.num_bytes - 7]
    (tmp_path / "t.root").write_bytes(content)
    decoder = PageDecoder(file, TREE, 0, 100, LIMIT)
    file.read = lambda places: (content[start:stop] for start, stop in places)
    with pytest.raises(UnusualError):
        decoder.decode(name)
    file.close()


def test_a_page_beyond_the_limit_is_left_to_uproot(data):
    file = reading.OpenedFile(str(data / "codec_rntuple.root"), 60)
    with pytest.raises(UnusualError):
        PageDecoder(file, "ntuple", 0, 10, 1000).decode("pt")
    file.close()
