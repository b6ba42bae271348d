"""Every ROOT file at a place is found, once, here as on a server; or it is said why not."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import services
import uproot

from bphcoffea.datasets import load_fileset
from bphcoffea.datasets.build import add_to_fileset, build_fileset, find_files
from bphcoffea.datasets.fileset import write_fileset
from bphcoffea.errors import InputError
from bphcoffea.storage import fsspec_url

METADATA = {"is_mc": False, "era": "2017B"}
#: The client waits for minutes by default.
IMPATIENT = {"XRD_CONNECTIONWINDOW": "1", "XRD_CONNECTIONRETRY": "1"}


@pytest.fixture
def folder(tmp_path):
    for name in (
        *("a.root", "b.root", "2017B/a.root", "2017B/deep/b.root", "2017C/a.root", "2018/a.root"),
        *("notes.txt", "2017B/notes.txt", "a.root.part", "a.rootx"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


ALL = ["2017B/a.root", "2017B/deep/b.root", "2017C/a.root", "2018/a.root", "a.root", "b.root"]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("", ALL),
        ("/", ALL),
        ("2017B", ALL[:2]),
        ("2017B/", ALL[:2]),
        ("a.root", ["a.root"]),
        ("notes.txt", ["notes.txt"]),
        ("*.root", ["a.root", "b.root"]),
        ("?.root", ["a.root", "b.root"]),
        ("[b-z].root", ["b.root"]),
        ("*", ALL),
        ("2017*", ALL[:3]),
        ("2017*/*.root", ["2017B/a.root", "2017C/a.root"]),
        ("*/deep/*.root", ["2017B/deep/b.root"]),
        ("**/b.root", ["2017B/deep/b.root", "b.root"]),
        ("**/*.root", ALL),
        ("**", ALL),
        ("2017B/../2018", ["2018/a.root"]),
    ],
)
def test_folders_patterns_and_files_are_found(place, expected, folder):
    assert find_files(f"{folder}/{place}") == [f"{folder}/{name}" for name in expected]


def test_relative_places_give_absolute_paths(folder, monkeypatch):
    monkeypatch.chdir(folder / "2017B")
    expected = [f"{folder}/2018/a.root"]
    assert find_files("../2018") == find_files("../2018/*.root") == expected
    assert find_files("a.root") == [f"{folder}/2017B/a.root"]


@pytest.mark.parametrize("name", ["data:,a.root", "root:a.root", "file:a.root", "local:a.root"])
def test_a_path_is_no_url_because_it_begins_like_one(name, tmp_path, monkeypatch):
    (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert find_files(name) == find_files(name[:-1] + "*") == [f"{tmp_path}/{name}"]


@pytest.mark.parametrize("place", ["none", "none/*.root", "empty", "*.txt", "a.root/x", "2*/none"])
def test_a_place_without_root_files_is_an_error(place, folder):
    with pytest.raises(InputError) as raised:
        find_files(f"{folder}/{place}")
    assert str(raised.value) == f"{folder}/{place}: no .root files there"


@pytest.mark.parametrize(
    "name", ["with blank.root", "ü π.root", "x[1].root", "w?y.root", "a:b.root", "p+q#%20&=,.root"]
)
def test_names_may_hold_any_character(name, tmp_path):
    (tmp_path / "a[b]").mkdir()
    path = tmp_path / "a[b]" / name
    path.touch()
    assert find_files(str(path)) == find_files(str(path.parent)) == [str(path)]


def test_links_are_followed_once(folder):
    (folder / "2018" / "up").symlink_to(folder)
    (folder / "empty" / "link").symlink_to(folder / "2017C")
    (folder / "empty" / "linked.root").symlink_to(folder / "a.root")
    expected = [f"{folder}/empty/link/a.root", f"{folder}/empty/linked.root"]
    assert find_files(f"{folder}/empty") == find_files(f"{folder}/empty/**") == expected
    assert find_files(f"{folder}/empty/*/a.root") == expected[:1]
    assert len(find_files(f"{folder}/2018")) == len(ALL) + 1


def test_a_folder_that_may_not_be_read_is_not_left_out_in_silence(folder, monkeypatch):
    # root may read everything
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for place in (f"{folder}", f"{folder}/*", f"{folder}/2017B/*/*.root"):
        with pytest.raises(InputError) as raised:
            find_files(place)
        assert str(raised.value) == (
            f"{place}: cannot be listed: may not be read (permission denied)"
        )
    assert find_files(f"{folder}/2018") == [f"{folder}/2018/a.root"]


def test_a_fileset_of_several_places_loads_again(folder):
    places = [f"{folder}/2017B", f"{folder}/2018/*.root", f"{folder}/b.root"]
    fileset = build_fileset("D", places, "T/t", METADATA | {"luminosity": 4.8, "mine": 1})
    names = ["2017B/a.root", "2017B/deep/b.root", "2018/a.root", "b.root"]
    assert [f"{folder}/{name}" for name in names] == list(fileset["D"].files)
    assert {entry.object_path for entry in fileset["D"].files.values()} == {"T/t"}
    assert fileset["D"].metadata.luminosity == 4.8
    assert load_fileset(fileset.save(folder / "elsewhere" / "fileset.json")) == fileset


def faults(*arguments):
    with pytest.raises(InputError) as raised:
        build_fileset(*arguments)
    return str(raised.value).split("\n")


def test_dataset_is_added_to_a_fileset_that_is_there(folder, bphcoffea):
    path = folder / "fileset.json"
    first = {"files": {"a.root": "Events"}, "metadata": METADATA | {"own": 1}}
    path.write_text(json.dumps({"first": first}))
    words = ("fileset", "build", folder / "2017C", "-o", path, "--era", "2017C", "--name")
    status, out, _ = bphcoffea(*words, "second")
    assert (status, "2 datasets, 2 files" in out) == (0, True)
    content = json.loads(path.read_text())
    assert content["first"] == first, "as it was written"
    assert load_fileset(path).names == ["first", "second"]
    for name in ("first", "second"):
        status, _, errors = bphcoffea(*words, name)
        assert status == 2
        (line,) = errors
        assert line.startswith(f"bphcoffea: error: {path}: already has a dataset '{name}'")
    assert json.loads(path.read_text()) == content
    path.write_text("[]")
    assert bphcoffea(*words, "third")[0] == 2
    assert path.read_text() == "[]"


@pytest.mark.parametrize("names", [("a", "b"), ("a", "a")])
def test_two_commands_at_once_lose_nothing(names, folder, monkeypatch):
    """Both look for files before either writes; then one waits for the other."""
    path, together, writing = folder / "new" / "fileset.json", Barrier(2, timeout=60), []

    def write(*arguments):
        writing.append(None)
        time.sleep(0.05)
        assert len(writing) == 1
        writing.pop()
        return write_fileset(*arguments)

    def made(name):
        together.wait()
        return build_fileset(name, [str(folder / "a.root")], "T/t", METADATA)

    def add(name):
        try:
            add_to_fileset(path, lambda: made(name), name)
        except InputError as error:
            return str(error)
        return None

    monkeypatch.setattr("bphcoffea.datasets.build.write_fileset", write)
    with ThreadPoolExecutor(2) as threads:
        errors = [error for error in threads.map(add, names) if error]
    assert set(load_fileset(path).names) == set(names)
    assert len(errors) == 2 - len(set(names))
    assert all(f"{path}: already has a dataset 'a'" in error for error in errors)
    assert list(path.parent.iterdir()) == [path], "no lock is left"


def test_files_found_twice_are_all_named(folder):
    places = [f"{folder}/2017B", f"{folder}/**/b.root", f"{folder}/a.root", f"{folder}/./a.root"]
    assert faults("D", places, "t", METADATA) == [
        f"{folder}/2017B/deep/b.root: found twice",
        f"{folder}/a.root: found twice",
    ]


def test_every_place_without_files_is_named(folder):
    places = [f"{folder}/none", f"{folder}/2018", f"{folder}/empty"]
    assert faults("D", places, "t", METADATA) == [
        f"{folder}/none: no .root files there",
        f"{folder}/empty: no .root files there",
    ]


def test_wrong_metadata_are_all_named(folder):
    assert faults("D", [str(folder)], "t", {"is_mc": True, "luminosity": -1}) == [
        "dataset 'D', metadata.era: is missing",
        "dataset 'D', metadata.luminosity: Input should be greater than 0",
    ]
    assert faults("", [str(folder)], "t", METADATA) == ["dataset '': is empty"]


@pytest.mark.xrootd
@pytest.mark.parametrize(
    "place",
    [
        "",
        "*.root",
        "[b-z].root",
        "**/*.root",
        "2017*",
        "2017*/*.root",
        "*/deep",
        "2017B",
        "x[1].root",
    ],
)
def test_a_server_lists_the_files_that_are_there(place, server, url):
    locally = find_files(f"{server.folder}/{place}")
    expected = [url(os.path.relpath(path, server.folder)) for path in locally]
    assert find_files(url(place)) == sorted(expected)


@pytest.mark.xrootd
def test_the_urls_of_a_server_open(url):
    for place in find_files(url("[a-z]*.root")):
        if not place.endswith("cut.root"):
            with uproot.open({fsspec_url(place): "Tree3Mu/ntuple"}) as tree:
                assert tree.num_entries == 10


@pytest.mark.xrootd
def test_what_came_since_the_last_listing_is_listed(server, url, write_root):
    assert len(find_files(url("2018"))) == 1
    path = write_root(server.folder / "2018" / "new.root")
    try:
        assert find_files(url("2018"))[1:] == [url("2018/new.root")]
    finally:
        path.unlink()
    assert len(find_files(url("2018"))) == 1


@pytest.mark.xrootd
@pytest.mark.parametrize("place", ["none", "none/*.root", "2018/*.txt"])
def test_a_place_on_a_server_without_root_files_is_an_error(place, url):
    with pytest.raises(InputError) as raised:
        find_files(url(place))
    assert str(raised.value) == f"{url(place)}: no .root files there"


@pytest.mark.xrootd
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("root", "no .root files there"),
        ("dav", "cannot be listed: the server answers HTTP 500"),
    ],
    indirect=["url"],
)
def test_a_file_is_no_folder(url, why):
    with pytest.raises(InputError) as raised:
        find_files(url("list.txt/x.root"))
    assert str(raised.value) == f"{url('list.txt/x.root')}: {why}"


def test_a_question_mark_in_a_url_is_refused_for_it_would_begin_parameters():
    with pytest.raises(
        InputError, match=r"^root://host//\?\.root: cannot be listed: in a URL '\?'"
    ):
        find_files("root://host//?.root")


@pytest.mark.parametrize("place", ["store", "store/*.root", "store/a.root"])
def test_a_server_that_is_not_there_is_one_clear_line(place):
    url = f"root://127.0.0.1:{services.free_port()}//{place}"
    code = "import sys; from bphcoffea.datasets.build import find_files; find_files(sys.argv[1])"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, url],
        env=os.environ | IMPATIENT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stderr.splitlines()[-1] == (
        f"bphcoffea.errors.FilesetError: {url}: cannot be listed: the server does not answer; "
        "is its address right, and is it up? (Connection error)"
    )
    assert time.monotonic() - started < 20
