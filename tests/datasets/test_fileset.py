"""A fileset reads what coffea writes, stays what it is on the disk, and says what is wrong."""

import gzip
import json
import os
import random
import re
import time
from pathlib import Path

import pytest
from coffea.dataset_tools.filespec import DataGroupSpec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bphcoffea.datasets import Dataset, FileEntry, Fileset, Metadata, load_fileset
from bphcoffea.errors import InputError

METADATA = {"is_mc": False, "era": "2017B"}
DATASET = {"files": {"a.root": "Tree3Mu/ntuple"}, "metadata": METADATA}


def write(folder, content):
    """A JSON file with a content, or with just these bytes or text."""
    path = folder / "fileset.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def faults(folder, content):
    """Lines of the error that reading a content gives, without the file's path."""
    path = write(folder, content)
    with pytest.raises(InputError) as raised:
        load_fileset(path)
    lines = str(raised.value).split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def with_metadata(**changes):
    return {"D": DATASET | {"metadata": METADATA | changes}}


def with_files(files, **more):
    return {"D": {"files": files, "metadata": METADATA, **more}}


@pytest.mark.parametrize(
    "dataset",
    [
        {"files": {"a.root": "t", "b.root": "t"}},
        {"files": {"a.root": {"object_path": "t"}, "b.root": "t"}},
        {"treename": "t", "files": ["a.root", "b.root"]},
    ],
    ids=["path: tree", "path: object", "list with treename"],
)
def test_all_formats_of_coffea_are_the_same_fileset(dataset, tmp_path):
    fileset = load_fileset(write(tmp_path, {"D": dataset | {"metadata": METADATA}}))
    assert fileset["D"].files == {
        f"{tmp_path}/a.root": FileEntry(object_path="t"),
        f"{tmp_path}/b.root": FileEntry(object_path="t"),
    }
    assert fileset["D"].metadata == Metadata(is_mc=False, era="2017B")
    assert fileset.names == ["D"]
    assert len(fileset) == 1


def test_details_of_a_file_are_kept(tmp_path):
    entry = {
        "object_path": "t",
        "num_entries": 10,
        "uuid": "b5a4",
        "replicas": ["root://far//a.root", "copy/a.root"],
        "steps": [[0, 5], [5, 10]],
        "format": "root",
    }
    (read,) = load_fileset(write(tmp_path, with_files({"a.root": entry})))["D"].files.values()
    assert (read.object_path, read.num_entries, read.uuid) == ("t", 10, "b5a4")
    assert read.replicas == ("root://far//a.root", f"{tmp_path}/copy/a.root")
    assert read.steps == ((0, 5), (5, 10))
    assert read.model_extra == {"format": "root"}


@pytest.mark.parametrize("steps", [[[5, 10], [0, 5]], [[0, 6], [5, 10]], [[3, 1]], [[-1, 2]]])
def test_steps_ascend_and_do_not_overlap(tmp_path, steps):
    entry = {"object_path": "t", "steps": steps}
    with pytest.raises(InputError, match="steps"):
        load_fileset(write(tmp_path, with_files({"a.root": entry})))


def test_relative_paths_are_relative_to_the_json(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    urls = ["root://host//store/a.root", "https://host/a.root", "file:///data/a.root"]
    places = ["a.root", "sub/a.root", "../a.root", "/data/a.root", *urls]
    (tmp_path / "here").mkdir()
    path = write(tmp_path / "here", with_files(dict.fromkeys(places, "t")))
    assert list(load_fileset(path)["D"].files) == [
        f"{tmp_path}/here/a.root",
        f"{tmp_path}/here/sub/a.root",
        f"{tmp_path}/a.root",
        "/data/a.root",
        *urls,
    ]
    os.chdir(tmp_path)
    assert load_fileset("here/fileset.json") == load_fileset(path)


def test_a_fileset_preprocessed_by_coffea_loads(tmp_path):
    file = {"object_path": "t", "steps": [[0, 10]], "num_entries": 10, "uuid": "b5a4"}
    preprocessed = DataGroupSpec(
        {"D": {"files": {"/data/a.root": file}, "metadata": METADATA, "did": "cms:D"}}
    )
    saved = json.loads(preprocessed.model_dump_json())
    assert {"format", "compressed_form", "did"} <= set(saved["D"])
    (read,) = load_fileset(write(tmp_path, saved))["D"].files.values()
    assert (read.object_path, read.num_entries, read.uuid) == ("t", 10, "b5a4")


def test_coffea_accepts_what_is_saved(tmp_path):
    entry = {"object_path": "t", "num_entries": 10, "uuid": "b5a4", "steps": [[0, 10]]}
    fileset = Fileset(
        {
            "D": Dataset(
                files={"/data/a.root": "t", "root://host//b.root": entry},
                metadata={**METADATA, "luminosity": 4.8},
            )
        }
    )
    read = DataGroupSpec(json.loads(fileset.save(tmp_path / "f.json").read_text()))
    assert read["D"].metadata == {**METADATA, "luminosity": 4.8}
    assert [file.object_path for file in read["D"].files.values()] == ["t", "t"]
    assert read["D"].files["root://host//b.root"].num_entries == 10


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
POSITIVE = st.floats(1e-300, 1e300)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
ENTRIES = st.builds(
    FileEntry,
    object_path=NAMES,
    num_entries=st.none() | st.integers(0, 10**12),
    uuid=st.none() | NAMES,
    replicas=st.lists(NAMES.map(lambda name: f"root://host//{name}"), max_size=2),
)
PATHS = st.builds(
    lambda start, parts: start + "/".join(parts),
    st.sampled_from(["/", "root://host:1094//", "relative/", "./", "../"]),
    st.lists(NAMES.filter(lambda name: "\0" not in name), min_size=1, max_size=3),
)


@st.composite
def metadata(draw):
    is_mc = draw(st.booleans())
    known = {
        "era": draw(NAMES),
        "kind": draw(st.sampled_from([None, "signal", "background"] if is_mc else [None, "data"])),
        "luminosity": draw(st.none() | POSITIVE),
        "processed_events": draw(st.none() | st.integers(1, 2**70)),
        "filter_efficiency": draw(st.none() | st.floats(1e-300, 1)),
        "label": draw(st.none() | NAMES),
        "hlt": draw(st.lists(NAMES, max_size=2)),
    }
    more = draw(st.dictionaries(NAMES.map(lambda name: f"my {name}"), JSON_VALUES, max_size=3))
    return Metadata(is_mc=is_mc, **known, **more)


FILESETS = st.builds(
    Fileset,
    st.dictionaries(
        NAMES,
        st.builds(
            Dataset,
            files=st.dictionaries(PATHS, ENTRIES, min_size=1, max_size=3),
            metadata=metadata(),
        ),
        min_size=1,
        max_size=3,
    ),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fileset=FILESETS)
def test_loading_what_was_saved_gives_the_same(fileset, tmp_path):
    try:
        fileset = fileset.resolved(tmp_path)
    except InputError as error:
        # not the subject of this test
        assert any(text in str(error) for text in ("twice", "NUL", "'::'"))  # noqa: PT017
        return
    path = fileset.save(tmp_path / "new" / "fileset.json")
    read = load_fileset(path)
    assert read == fileset
    assert read.sha256() == fileset.sha256()
    before = path.read_bytes()
    assert read.save(path).read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["fileset.json"]


def test_saving_leaves_out_what_is_not_known(tmp_path):
    path = load_fileset(write(tmp_path, {"D": DATASET})).save(tmp_path / "saved.json")
    assert json.loads(path.read_text()) == {
        "D": {"files": {f"{tmp_path}/a.root": "Tree3Mu/ntuple"}, "metadata": METADATA}
    }


def test_saving_where_nothing_can_be_written_is_one_clear_line(tmp_path):
    fileset = load_fileset(write(tmp_path, {"D": DATASET}))
    with pytest.raises(InputError, match=r"fileset\.json/x\.json: cannot write the fileset"):
        fileset.save(tmp_path / "fileset.json" / "x.json")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "not a JSON file (Expecting"),
        ("", "not a JSON file (Expecting value"),
        ("[" * 100_000, "not a JSON file"),
        ('{"ä": 1}'.encode("latin-1"), "not a JSON file (not UTF-8"),
        (b'{"\\ud800": 1}', "not a JSON file (not UTF-8"),
        ([DATASET], "expected an object, {dataset: {files, metadata}}"),
        ("3", "expected an object, {dataset: {files, metadata}}"),
        ({}, "the fileset is empty; it needs at least one dataset"),
        ({"": DATASET}, "dataset '': is empty"),
        ({"D": None}, "dataset 'D': expected an object"),
        ({"D": {"metadata": METADATA}}, "dataset 'D', files: is missing"),
        (with_files({}), "dataset 'D', files: is empty"),
        (with_files([], treename="t"), "dataset 'D', files: is empty"),
        (with_files("a.root"), "dataset 'D', files: expected an object"),
        (with_files(["a.root"]), "dataset 'D': files are a list, so 'treename' must name"),
        (with_files([1], treename="t"), "dataset 'D': the list of files holds 1, "),
        (with_files([["a"]], treename="t"), "dataset 'D': the list of files holds ['a'], "),
        (with_files(["a", "a"], treename="t"), "dataset 'D': 'a' is listed twice"),
        (with_files({"": "t"}), "dataset 'D', files.: is empty"),
        (with_files({"a": ""}), "dataset 'D', files.a.object_path: is empty"),
        (with_files({"a": None}), "dataset 'D', files.a: expected an object"),
        (with_files({"a": {"uuid": "b"}}), "dataset 'D', files.a.object_path: is missing"),
        (
            with_files({"a": {"object_path": "t", "num_entries": -1}}),
            "dataset 'D', files.a.num_entries: Input should be greater than or equal to 0",
        ),
        (with_files({"a": "t"}, color=1), "dataset 'D', color: is not known here"),
        ({"D": {"files": {"a": "t"}}}, "dataset 'D', metadata: is missing"),
        ({"D": DATASET | {"metadata": []}}, "dataset 'D', metadata: expected an object"),
        ({"D": DATASET | {"metadata": {"era": "2018"}}}, "dataset 'D', metadata.is_mc: is missing"),
        ({"D": DATASET | {"metadata": {"is_mc": True}}}, "dataset 'D', metadata.era: is missing"),
        (with_metadata(era=""), "dataset 'D', metadata.era: is empty"),
        (with_metadata(era=2017), "dataset 'D', metadata.era: Input should be a valid string"),
        (with_metadata(is_mc="perhaps"), "dataset 'D', metadata.is_mc: Input should be a valid"),
        (with_metadata(kind="mc"), "dataset 'D', metadata.kind: Input should be 'data', 'signal'"),
        (with_metadata(kind="signal"), "dataset 'D', metadata: kind 'signal' contradicts is_mc"),
        (with_metadata(prescale=0.5), "dataset 'D', metadata.prescale: "),
        (with_metadata(is_mc=True, prescale=20), "dataset 'D', metadata: a prescale belongs"),
        (
            with_metadata(is_mc=True, kind="data"),
            "dataset 'D', metadata: kind 'data' contradicts is_mc true",
        ),
        (with_metadata(luminosity=-1), "dataset 'D', metadata.luminosity: Input should be greater"),
        (with_metadata(luminosity=0), "dataset 'D', metadata.luminosity: Input should be greater"),
        (with_metadata(luminosity="much"), "dataset 'D', metadata.luminosity: Input should be a"),
        (with_metadata(filter_efficiency=1.1), "dataset 'D', metadata.filter_efficiency: Input"),
        (with_metadata(processed_events=1.5), "dataset 'D', metadata.processed_events: Input"),
        (with_metadata(hlt="HLT_Mu9"), "dataset 'D', metadata.hlt: expected a list"),
        (with_metadata(mine=float("nan")), "not a JSON file"),
        ('{"D": {"metadata": {"mine": 1e999}}}', "not a JSON file"),
        (
            with_metadata(filename="x", uuid="y"),
            "dataset 'D', metadata: coffea reserves the names filename, uuid: choose others",
        ),
        ({"D\nE": None}, "dataset 'D E': expected an object"),
        ('{"D": 1, "D": 2}', "not a JSON file (key 'D' occurs twice)"),
        ('{"D": {"files": {"a": "t", "a": "u"}}}', "not a JSON file (key 'a' occurs twice)"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named_in_one_line(content, fault, tmp_path):
    (line,) = faults(tmp_path, content)
    assert line.startswith(fault)


@pytest.mark.parametrize("content", ['{"D": [1,]}', '{"D": 1,\n}'])
def test_a_comma_too_many_is_named(content, tmp_path):
    (line,) = faults(tmp_path, content)
    assert "comma" in line  # of Python itself, from 3.13 on


def test_two_names_of_one_file_are_a_double(tmp_path):
    assert faults(tmp_path, with_files({"a.root": "t", "./a.root": "t"})) == [
        f"dataset 'D': '{tmp_path}/a.root' is listed twice"
    ]


def test_every_fault_of_every_dataset_is_named(tmp_path):
    content = {
        "D": {"files": {}, "metadata": {"is_mc": True, "luminosity": -1}},
        "E": DATASET,
        "F": {"metadata": METADATA},
    }
    assert sorted(line.partition(":")[0] for line in faults(tmp_path, content)) == [
        "dataset 'D', files",
        "dataset 'D', metadata.era",
        "dataset 'D', metadata.luminosity",
        "dataset 'F', files",
    ]


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbf" + json.dumps({"D": DATASET}).encode())
    assert load_fileset(path).names == ["D"]


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^\S+/none\.json: no such file$"):
        load_fileset(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"^\S+: cannot be read \(Is a directory\)$"):
        load_fileset(tmp_path)
    below_a_file = write(tmp_path, {"D": DATASET}) / "x.json"
    with pytest.raises(InputError, match=r"^\S+/x\.json: cannot be read \(Not a directory\)$"):
        load_fileset(below_a_file)


def test_a_file_that_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    # root may read everything
    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, {"D": DATASET})
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"\.json: cannot be read \(Permission denied\)$"):
        load_fileset(path)


@pytest.mark.parametrize("name", ["fileset.json.gz", "fileset.json", "fileset"])
def test_gzip_is_told_by_content_and_not_by_name(tmp_path, name):
    plain = load_fileset(write(tmp_path, {"D": DATASET}))
    path = tmp_path / name
    path.write_bytes(gzip.compress(json.dumps({"D": DATASET}).encode()))
    assert load_fileset(path) == plain
    (tmp_path / "plain.json.gz").write_text(json.dumps({"D": DATASET}))
    assert load_fileset(tmp_path / "plain.json.gz") == plain


def test_a_fileset_is_written_as_gzip_by_its_name_and_always_the_same(tmp_path, monkeypatch):
    fileset = load_fileset(write(tmp_path, {"D": DATASET}))
    monkeypatch.setattr(time, "time", lambda: 1e9)
    first = fileset.save(tmp_path / "x.json.gz").read_bytes()
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert fileset.save(tmp_path / "y.json.gz").read_bytes() == first
    assert gzip.decompress(first) == fileset.save(tmp_path / "x.json").read_bytes()
    assert load_fileset(tmp_path / "y.json.gz") == fileset


def test_gzip_that_is_damaged_or_too_large_is_one_line(tmp_path, monkeypatch):
    content = gzip.compress(json.dumps({"D": DATASET}).encode())
    for damaged in (content[:-12], content[:20] + b"\xff" * 20 + content[40:], content[:2]):
        (line,) = faults(tmp_path, damaged)
        assert line.startswith("truncated or corrupt gzip (")
        assert line.endswith("copy or make it again")
    monkeypatch.setenv("BPHCOFFEA_MAX_JSON_MB", "2")
    bomb = gzip.compress(b" " * 2**24)
    assert len(bomb) < 2**15
    (line,) = faults(tmp_path, bomb)
    assert line.startswith("holds more than 2 MB; is it the right file?")


def test_a_path_that_nothing_can_open_is_one_line(tmp_path):
    files = {"a::b.root": "t", "simplecache::c.root": "t", "root://h//d::e.root": "t"}
    lines = faults(tmp_path, {"D": {"files": files, "metadata": METADATA}})
    assert len(lines) == 3
    for line, path in zip(lines, files, strict=True):
        place = path if "://" in path else f"{tmp_path}/{path}"
        assert line.startswith(f"dataset 'D': '{place}' cannot be opened, because '::' separates")
    replica = {"a.root": {"object_path": "t", "replicas": ["r::a.root"]}}
    (line,) = faults(tmp_path, {"D": {"files": replica, "metadata": METADATA}})
    assert f"'{tmp_path}/r::a.root' cannot be opened" in line
    (line,) = faults(tmp_path, {"D": {"files": {"a\0.root": "t"}, "metadata": METADATA}})
    assert line.endswith("contains a NUL character, which a path cannot")


def test_a_chain_of_urls_stays_as_it_is(tmp_path):
    files = {f"simplecache::file://{tmp_path}/a.root": "t", "zip://x.root::root://h//a.zip": "t"}
    fileset = load_fileset(write(tmp_path, {"D": {"files": files, "metadata": METADATA}}))
    assert list(fileset["D"].files) == list(files)


@pytest.fixture
def eras(tmp_path):
    names = ["data/2017B", "data/2017C", "mc [2017]", "mc 2"]
    return load_fileset(write(tmp_path, dict.fromkeys(names, DATASET)))


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        ([], ["data/2017B", "data/2017C", "mc [2017]", "mc 2"]),
        (["data/2017B"], ["data/2017B"]),
        (["*2017?"], ["data/2017B", "data/2017C", "mc [2017]"]),
        (["data*"], ["data/2017B", "data/2017C"]),
        (["mc [2017]"], ["mc [2017]", "mc 2"]),
        (["mc 2", "*C"], ["data/2017C", "mc 2"]),
    ],
)
def test_select_takes_the_datasets_that_match_in_their_order(patterns, selected, eras):
    assert eras.select(patterns).names == selected


def test_a_pattern_that_matches_nothing_names_the_datasets_there_are(eras):
    with pytest.raises(InputError) as raised:
        eras.select(["data*", "tau*"])
    assert str(raised.value) == (
        "no dataset matches 'tau*'; the fileset has: data/2017B, data/2017C, mc [2017], mc 2"
    )


@settings(max_examples=30)
@given(fileset=FILESETS, seed=st.integers(0, 100))
def test_the_hash_does_not_depend_on_the_order_of_keys(fileset, seed):
    shuffle = random.Random(seed).shuffle

    def shuffled(value):
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        shuffle(items)
        return {key: shuffled(item) for key, item in items}

    again = Fileset.model_validate(shuffled(fileset.model_dump(mode="json")))
    assert again.sha256() == fileset.sha256()


def test_the_hash_depends_on_the_content(tmp_path):
    contents = [{"D": DATASET}, {"E": DATASET}, with_metadata(mine=1), with_files({"a.root": "u"})]
    hashes = {load_fileset(write(tmp_path, content)).sha256() for content in contents}
    assert len(hashes) == len(contents)


def test_metadata_that_json_cannot_hold_are_refused():
    with pytest.raises(ValidationError, match="'mine' is nan, which JSON cannot hold"):
        Metadata(is_mc=False, era="2018", mine=float("nan"))


def test_redirectors_are_further_places_of_what_lies_below_store():
    files = {
        "/store/data/a.root": "t",
        "root://mine//store/data/b.root": {
            "object_path": "t",
            "replicas": ["root://other//b.root"],
        },
        "/disk/store/c.root": "t",
        "root://mine//private/d.root": "t",
        "root://two//store/e.root": "t",
    }
    known = {"is_mc": False, "era": "2018"}
    fileset = Fileset.model_validate({"D": {"files": files, "metadata": known}})
    served = fileset.served_by(["root://one//", "root://two//"])["D"].files
    assert {path: entry.replicas for path, entry in served.items()} == {
        "root://one//store/data/a.root": ("root://two//store/data/a.root",),
        "root://mine//store/data/b.root": (
            "root://other//b.root",
            "root://one//store/data/b.root",
            "root://two//store/data/b.root",
        ),
        "/disk/store/c.root": (),
        "root://mine//private/d.root": (),
        "root://two//store/e.root": ("root://one//store/e.root",),
    }
    assert fileset.served_by([]) == fileset


def test_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "f.json"
    path.write_text('{"D": {"files": {"a.root": "t"}, "metadata": {"is_mc": false, "era": "1"}}}')
    load_fileset(path)
    monkeypatch.setenv("BPHCOFFEA_MAX_JSON_MB", "0.00001")
    with pytest.raises(InputError, match=r"holds more than 1e-05 MB; .* BPHCOFFEA_MAX_JSON_MB"):
        load_fileset(path)


def test_repr_counts_files_and_shortens_the_list_of_names():
    fileset = Fileset.model_validate(dict.fromkeys("ABCDE", DATASET))
    assert str(fileset) == repr(fileset) == "Fileset(5 datasets, 5 files: A, B, C, …)"
    assert repr(fileset.select("A")) == "Fileset(1 dataset, 1 file: A)"


def test_notebooks_show_a_table_of_the_datasets():
    files = {"a.root": {"object_path": "t", "num_entries": 1200}, "b.root": "t"}
    metadata = {"is_mc": True, "era": "2018", "process": "<b>"}
    content = {"D": DATASET, "x<y": {"files": files, "metadata": metadata}}
    fileset = Fileset.model_validate(content)
    shown = fileset.updated("num_entries", {("D", "a.root"): 1200})._repr_html_()
    rows = re.findall("<tr>(.*?)</tr>", shown)
    cells = [re.findall("<t[dh]>(.*?)</t[dh]>", row) for row in rows]
    assert cells == [
        ["dataset", "files", "events", "era", "process", "data or simulation"],
        ["D", "1", "1,200", "2017B", "", "data"],
        ["x&lt;y", "2", "", "2018", "&lt;b&gt;", "simulation"],
    ]
