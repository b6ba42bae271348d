"""The collaboration's JSON becomes a fileset with nothing lost, or every fault of it is named."""

import json

import pytest

from bphcoffea.datasets import load
from bphcoffea.datasets.importing import import_fileset
from bphcoffea.errors import InputError

ENTRY = {
    "type": "data",
    "rootpath": "/store/user/me",
    "files": "a.root b.root",
    "treename": "Tree3Mu/ntuple",
    "era": "2017B",
    "lumi": 4.8,
}
FILES = ["/store/user/me/a.root", "/store/user/me/b.root"]


def write(folder, content):
    path = folder / "lists.json"
    path.write_text(json.dumps(content))
    return path


def imported(folder, prefix=None, **changes):
    entry = {key: value for key, value in (ENTRY | changes).items() if value is not ...}
    return import_fileset(write(folder, {"2017B": entry}), prefix)["2017B"]


def faults(folder, content, prefix=None):
    path = write(folder, content)
    with pytest.raises(InputError) as raised:
        import_fileset(path, prefix)
    lines = str(raised.value).split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


@pytest.mark.parametrize(
    "files", ["a.root b.root", "  a.root\n\tb.root ", ["a.root", "b.root"]], ids=repr
)
def test_files_are_a_list_or_separated_by_blanks(files, tmp_path):
    assert list(imported(tmp_path, files=files).files) == FILES


def test_blanks_in_the_names_of_a_list_stay(tmp_path):
    assert list(imported(tmp_path, files=["my file.root"]).files) == ["/store/user/me/my file.root"]


def test_metadata_get_their_names_and_what_is_not_known_is_kept(tmp_path):
    dataset = imported(tmp_path, xsec=1.5, label="2017 B", comment={"by": "me"}, hlt=["HLT_Mu9"])
    assert dataset.metadata.model_dump(exclude_defaults=True) == {
        "is_mc": False,
        "kind": "data",
        "era": "2017B",
        "luminosity": 4.8,
        "cross_section": 1.5,
        "label": "2017 B",
        "comment": {"by": "me"},
        "hlt": ("HLT_Mu9",),
    }


def test_a_tree_that_is_not_named_is_the_usual_one(tmp_path):
    trees = [
        {entry.object_path for entry in imported(tmp_path, treename=name).files.values()}
        for name in (..., "Other/tree")
    ]
    assert trees == [{"Tree3Mu/ntuple"}, {"Other/tree"}]


@pytest.mark.parametrize(
    ("kind", "is_mc", "stands_for"),
    [
        ("data", False, "data"),
        ("Data", False, "data"),
        ("signal", True, "signal"),
        ("background", True, "background"),
        ("mc", True, None),
        ("MC", True, None),
    ],
)
def test_type_says_whether_it_is_simulation(kind, is_mc, stands_for, tmp_path):
    metadata = imported(tmp_path, type=kind).metadata
    assert (metadata.is_mc, metadata.kind) == (is_mc, stands_for)


@pytest.mark.parametrize(
    ("prefix", "rootpath", "url"),
    [
        ("root://host//eos", "/store/me", "root://host//eos/store/me/a.root"),
        ("root://host//eos/", "/store/me/", "root://host//eos/store/me/a.root"),
        ("root://host//eos", "store/me", "root://host//eos/store/me/a.root"),
        ("root://host//eos", ..., "root://host//eos/a.root"),
        ("root://host//", "/store/me", "root://host//store/me/a.root"),
        ("root://host/", "/store/me", "root://host//store/me/a.root"),
        ("root://host:1094", "//store/me", "root://host:1094//store/me/a.root"),
        ("root://host", ..., "root://host//a.root"),
        ("https://host", "/store/me", "https://host/store/me/a.root"),
        ("https://host/dav/", "/store/me", "https://host/dav/store/me/a.root"),
        ("/eos", "/store/me", "/eos/store/me/a.root"),
        (None, "root://host//store/me/", "root://host//store/me/a.root"),
        (None, "root://host//store/me", "root://host//store/me/a.root"),
        (None, "/", "/a.root"),
    ],
)
def test_prefix_folder_and_name_meet_in_one_slash(prefix, rootpath, url, tmp_path):
    assert list(imported(tmp_path, prefix, rootpath=rootpath, files="a.root").files) == [url]


def test_a_file_that_is_a_url_stays(tmp_path):
    url = "root://other//a.root"
    assert list(imported(tmp_path, "root://host//eos", files=[url]).files) == [url]


@pytest.mark.parametrize(("rootpath", "folder"), [("ntuples", "ntuples/"), (..., "")])
def test_a_relative_folder_is_relative_to_the_json(rootpath, folder, tmp_path):
    files = imported(tmp_path, rootpath=rootpath).files
    assert list(files) == [f"{tmp_path}/{folder}a.root", f"{tmp_path}/{folder}b.root"]


def test_the_result_loads_again(tmp_path):
    lists = {
        "2017B": ENTRY | {"comment": "zu früh", "rootpath": "ntuples"},
        "signal": ENTRY | {"type": "signal", "processed_events": 10_000},
    }
    fileset = import_fileset(write(tmp_path, lists))
    assert load(fileset.save(tmp_path / "elsewhere" / "fileset.json")) == fileset
    assert fileset.names == ["2017B", "signal"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"type": ""}, "dataset 'D': lacks 'type'"),
        ({"era": None}, "dataset 'D': lacks 'era'"),
        ({"files": []}, "dataset 'D': lacks 'files'"),
        ({"files": "  "}, "dataset 'D', files: is empty"),
        ({"files": [1]}, "dataset 'D': files are neither a list of names nor names separated"),
        ({"files": {"a.root": 1}}, "dataset 'D': files are neither a list of names nor names"),
        ({"files": "a.root a.root"}, "dataset 'D': files stand there twice: /store/user/me/a.root"),
        ({"files": "a.root /a.root"}, "dataset 'D': files stand there twice: /store/user/me/a.roo"),
        ({"type": "toys"}, "dataset 'D': type 'toys' is none of data, signal, background, mc"),
        ({"rootpath": 3}, "dataset 'D': rootpath is 3, which is no path"),
        ({"treename": None}, "dataset 'D': treename is None, which is no path of a tree"),
        ({"lumi": -1}, "dataset 'D', metadata.luminosity: Input should be greater than 0"),
        ({"luminosity": 5}, "dataset 'D': 'luminosity' says again what luminosity is"),
        ({"is_mc": True}, "dataset 'D': is_mc True contradicts type 'data'"),
        ({"kind": "signal"}, "dataset 'D': kind 'signal' contradicts type 'data'"),
        ({"dataset": "x"}, "dataset 'D', metadata: coffea reserves the names dataset"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named_in_one_line(changes, fault, tmp_path):
    (line,) = faults(tmp_path, {"D": ENTRY | changes})
    assert line.startswith(fault)


def test_a_prefix_before_a_url_is_a_fault(tmp_path):
    entry = ENTRY | {"rootpath": "root://host//store"}
    assert faults(tmp_path, {"D": entry}, "root://other//eos") == [
        "dataset 'D': rootpath 'root://host//store' is a URL already, "
        "so no prefix can stand before it"
    ]


@pytest.mark.parametrize("content", [[], {}, "text", [ENTRY]], ids=repr)
def test_what_is_no_list_of_datasets_is_one_line(content, tmp_path):
    assert faults(tmp_path, content) == ["expected a JSON object with one entry for each dataset"]


def test_an_entry_that_is_no_object_is_a_fault(tmp_path):
    assert "dataset 'D': expected an object with 'type', 'files' and 'era'" in faults(
        tmp_path, {"D": ["a.root"], "E": ENTRY}
    )


def test_all_faults_are_named_at_once(tmp_path):
    content = {
        "D": ENTRY | {"type": "toys", "era": "", "lumi": -1, "files": "a.root a.root"},
        "E": ENTRY,
        "F": {},
    }
    assert sorted(faults(tmp_path, content)) == sorted(
        [
            "dataset 'D': lacks 'era'",
            "dataset 'D': type 'toys' is none of data, signal, background, mc",
            "dataset 'D': files stand there twice: /store/user/me/a.root",
            "dataset 'D', metadata.luminosity: Input should be greater than 0",
            "dataset 'F': lacks 'type'",
            "dataset 'F': lacks 'files'",
            "dataset 'F': lacks 'era'",
        ]
    )


def test_a_dataset_that_stands_there_twice_is_a_fault(tmp_path):
    path = tmp_path / "lists.json"
    path.write_text('{"D": {}, "D": {}}')
    with pytest.raises(InputError, match=r"lists\.json: not a JSON file \('D' stands there twice"):
        import_fileset(path)
