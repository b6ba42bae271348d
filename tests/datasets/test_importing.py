"""The collaboration's JSON becomes a fileset with nothing lost, or every fault of it is named."""

import json
import sys

import pytest

from bphcoffea import cli
from bphcoffea.datasets import load_fileset
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


def faults(folder, content, prefix=None, era=None):
    path = write(folder, content)
    with pytest.raises(InputError) as raised:
        import_fileset(path, prefix, era)
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
    assert load_fileset(fileset.save(tmp_path / "elsewhere" / "fileset.json")) == fileset
    assert fileset.names == ["2017B", "signal"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"type": ""}, "dataset 'D': lacks 'type'"),
        ({"era": None}, "dataset 'D': lacks 'era'"),
        ({"files": []}, "dataset 'D': lacks 'files'"),
        ({"files": "  "}, "dataset 'D', files: is empty"),
        ({"files": [1]}, "dataset 'D': 'files' is neither a list of names nor names separated"),
        ({"files": {"a.root": 1}}, "dataset 'D': 'files' is neither a list of names nor names"),
        (
            {"files": "a.root a.root"},
            "dataset 'D': 'files' lists files twice: /store/user/me/a.root",
        ),
        (
            {"files": "a.root /a.root"},
            "dataset 'D': 'files' lists files twice: /store/user/me/a.root",
        ),
        ({"type": "toys"}, "dataset 'D': type 'toys' is none of data, signal, background, mc"),
        ({"rootpath": 3}, "dataset 'D': rootpath is 3, which is not a path"),
        ({"treename": None}, "dataset 'D': treename is None, which is not the path of a tree"),
        ({"lumi": -1}, "dataset 'D', metadata.luminosity: Input should be greater than 0"),
        ({"luminosity": 5}, "dataset 'D': 'luminosity' states luminosity again"),
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
        "dataset 'D': rootpath 'root://host//store' is already a URL; a prefix cannot precede it"
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
            "dataset 'D': 'files' lists files twice: /store/user/me/a.root",
            "dataset 'D', metadata.luminosity: Input should be greater than 0",
            "dataset 'F': lacks 'type'",
            "dataset 'F': lacks 'files'",
            "dataset 'F': lacks 'era'",
        ]
    )


def test_a_dataset_that_stands_there_twice_is_a_fault(tmp_path):
    path = tmp_path / "lists.json"
    path.write_text('{"D": {}, "D": {}}')
    with pytest.raises(InputError, match=r"lists\.json: not a JSON file \(key 'D' occurs twice"):
        import_fileset(path)


@pytest.mark.parametrize(
    ("told", "era"), [(..., "2018D"), (None, "2018D"), ("", "2018D"), ("2017B", "2017B")], ids=repr
)
def test_an_era_that_is_given_stands_in_where_none_is_told(told, era, tmp_path):
    entry = {key: value for key, value in (ENTRY | {"era": told}).items() if value is not ...}
    assert import_fileset(write(tmp_path, {"D": entry}), era="2018D")["D"].metadata.era == era


# the JSON of the search for the heavy neutral lepton

SIGNAL = "DsToNMu_NToMuPi_mN1p5_ctau1000p0mm_incl"
HNL = {
    "dataset_category": "signal",
    "cross_section": None,
    "filter_efficiency": 0.031,
    "processed_events": 100_000,
    "das_string": "/DsToNMu_NToMuPi_mN1p5/RunIISummer20UL18-v1/USER",
    "file_name_list": ["/store/hnl/a.root", "/store/hnl/b.root"],
}
HNL_DATA = {
    "dataset_category": "data",
    "cross_section": None,
    "processed_events": None,
    "das_string": "/ParkingBPH1/Run2018A-UL2018/MINIAOD",
    "file_name_list": ["/store/data/a.root"],
}


def imported_hnl(folder, name=SIGNAL, prefix=None, entry=HNL, **changes):
    entry = {key: value for key, value in (entry | changes).items() if value is not ...}
    return import_fileset(write(folder, {name: entry}), prefix, era="2018")[name]


def test_a_signal_of_the_hnl_search(tmp_path):
    dataset = imported_hnl(tmp_path)
    assert {path: entry.object_path for path, entry in dataset.files.items()} == {
        "/store/hnl/a.root": "wztree",
        "/store/hnl/b.root": "wztree",
    }
    assert dataset.metadata.model_dump(exclude_none=True, exclude_defaults=True) == {
        "is_mc": True,
        "kind": "signal",
        "process": "hnl",
        "era": "2018",
        "filter_efficiency": 0.031,
        "processed_events": 100_000,
        "mass": 1.5,
        "ctau": 1000.0,
        "das_string": HNL["das_string"],
    }


def test_data_and_background_of_the_hnl_search(tmp_path):
    content = {
        "ParkingBPH1_2018A": HNL_DATA | {"era": "2018A"},
        "QCD_Pt-20To30": HNL
        | {"dataset_category": "Background", "cross_section": 2.5e6, "process": "qcd"},
        SIGNAL: HNL,
    }
    fileset = import_fileset(write(tmp_path, content), era="2018")
    data, background, signal = (
        fileset[name].metadata.model_dump(exclude_none=True, exclude_defaults=True)
        for name in content
    )
    assert data == {
        "is_mc": False,
        "kind": "data",
        "era": "2018A",
        "das_string": HNL_DATA["das_string"],
    }
    assert background == {
        "is_mc": True,
        "kind": "background",
        "process": "qcd",
        "era": "2018",
        "cross_section": 2.5e6,
        "filter_efficiency": 0.031,
        "processed_events": 100_000,
        "das_string": HNL["das_string"],
    }
    assert signal["era"] == "2018"
    assert load_fileset(fileset.save(tmp_path / "fileset.json")) == fileset


@pytest.mark.parametrize(
    ("name", "mass", "ctau"),
    [
        ("DsToNMu_NToMuPi_mN1p0_ctau10p0mm", 1.0, 10.0),
        ("DsToNMu_NToMuPi_mN1_ctau10mm", 1.0, 10.0),
        ("DsToNMu_NToMuPi_mN1.25_ctau0.5mm", 1.25, 0.5),
        ("mN1p8GeV-ctau15p25mm", 1.8, 15.25),
        ("DsToNMu_NToMuPi_SoftQCDnonD_mN1p5_ctau100p0mm_TuneCP5_13TeV-pythia8", 1.5, 100.0),
    ],
)
def test_mass_and_decay_length_stand_in_the_name(name, mass, ctau, tmp_path):
    metadata = imported_hnl(tmp_path, name).metadata
    assert (metadata.mass, metadata.ctau) == (mass, ctau)


def test_mass_and_decay_length_may_be_told_instead(tmp_path):
    metadata = imported_hnl(tmp_path, "signal", mass=1.5, ctau=100).metadata
    assert (metadata.mass, metadata.ctau) == (1.5, 100.0)
    metadata = imported_hnl(tmp_path, mass=1.5, ctau=None).metadata
    assert (metadata.mass, metadata.ctau) == (1.5, 1000.0)


def test_names_of_data_and_background_tell_nothing(tmp_path):
    for entry in (HNL_DATA, HNL | {"dataset_category": "background"}):
        metadata = imported_hnl(tmp_path, entry=entry).metadata
        assert (metadata.mass, metadata.ctau, metadata.process) == (None, None, None)


def test_what_is_null_is_not_known(tmp_path):
    nothing = dict.fromkeys(
        ("cross_section", "filter_efficiency", "processed_events", "das_string", "label", "other")
    )
    given = imported_hnl(tmp_path, **nothing)
    missing = imported_hnl(tmp_path, **dict.fromkeys(nothing, ...))
    assert given == missing
    assert not given.metadata.model_extra


@pytest.mark.parametrize(
    ("told", "era"),
    [
        ({"era": "2018A"}, "2018A"),
        ({"year": "2018A"}, "2018A"),
        ({"year": 2017}, "2017"),
        ({"era": 2017}, "2017"),
        ({"era": None, "year": 2017}, "2017"),
        ({"era": "", "year": 2017}, "2017"),
        ({"era": "2017", "year": None}, "2017"),
        ({"era": None}, "2018"),
        ({"year": ""}, "2018"),
        ({}, "2018"),
    ],
)
def test_the_era_that_a_sample_tells_wins(told, era, tmp_path):
    metadata = imported_hnl(tmp_path, **told).metadata
    assert metadata.era == era
    assert "year" not in metadata.model_extra


@pytest.mark.parametrize("era", [None, ""])
def test_without_an_era_the_option_is_asked_for_in_one_line(era, tmp_path):
    content = {SIGNAL: HNL, "A": HNL_DATA | {"year": 2018}, "B\nC": HNL_DATA}
    assert faults(tmp_path, content, era=era) == [
        f"no era is known of {SIGNAL}, B C: give 'era', such as 2018D"
    ]


@pytest.mark.parametrize(
    ("prefix", "name", "url"),
    [
        ("root://host", "/store/a.root", "root://host//store/a.root"),
        ("root://host//eos/", "/store/a.root", "root://host//eos/store/a.root"),
        ("root://host//eos", "store/a.root", "root://host//eos/store/a.root"),
        ("/eos", "/store/a.root", "/eos/store/a.root"),
        ("root://host", "root://other//a.root", "root://other//a.root"),
        (None, "root://other//a.root", "root://other//a.root"),
        (None, "/store/a.root", "/store/a.root"),
    ],
)
def test_prefix_stands_before_every_path(prefix, name, url, tmp_path):
    assert list(imported_hnl(tmp_path, prefix=prefix, file_name_list=[name]).files) == [url]


def test_a_relative_path_is_relative_to_the_json(tmp_path):
    files = imported_hnl(tmp_path, file_name_list=["ntuples/a.root"]).files
    assert list(files) == [f"{tmp_path}/ntuples/a.root"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"dataset_category": ...}, "lacks 'dataset_category'"),
        ({"dataset_category": None}, "lacks 'dataset_category'"),
        ({"dataset_category": "mc"}, "dataset_category 'mc' is none of data, signal, background"),
        ({"dataset_category": 3}, "dataset_category '3' is none of data, signal, background"),
        ({"file_name_list": ...}, "lacks 'file_name_list'"),
        ({"file_name_list": []}, "lacks 'file_name_list'"),
        ({"file_name_list": [1]}, "'file_name_list' is neither a list of names nor names separ"),
        ({"file_name_list": {"a": 1}}, "'file_name_list' is neither a list of names nor names"),
        ({"file_name_list": ["a", "a"]}, "'file_name_list' lists files twice: a"),
        ({"cross_section": -1}, "metadata.cross_section: Input should be greater than 0"),
        ({"cross_section": "much"}, "metadata.cross_section: Input should be a valid number"),
        ({"cross_section": True}, "cross_section is true, which is not a number"),
        ({"xsec": 1, "cross_section": 2}, "'xsec' states cross_section again"),
        ({"filter_efficiency": 3}, "metadata.filter_efficiency: Input should be less than"),
        ({"processed_events": 0}, "metadata.processed_events: Input should be greater than 0"),
        ({"processed_events": 1.5}, "metadata.processed_events: Input should be a valid integer"),
        ({"era": "2018A", "year": 2018}, "'year' states era again"),
        ({"era": ["2018"]}, "metadata.era: Input should be a valid string"),
        ({"is_mc": False}, "is_mc False contradicts dataset_category 'signal'"),
        ({"treename": 3}, "treename is 3, which is not the path of a tree"),
        ({"mass": 1.0}, "mass 1.0 contradicts its name, which states 1.5 GeV"),
        ({"ctau": 10}, "ctau 10 contradicts its name, which states 1000 mm"),
        ({"dataset": "x"}, "metadata: coffea reserves the names dataset"),
    ],
)
def test_what_is_wrong_with_an_hnl_sample_is_named_in_one_line(changes, fault, tmp_path):
    entry = {key: value for key, value in (HNL | changes).items() if value is not ...}
    (line,) = faults(tmp_path, {SIGNAL: entry, "A": HNL_DATA}, era="2018")
    place = f"dataset '{SIGNAL}'" + (", " if fault.startswith("metadata") else ": ")
    assert line.startswith(place + fault)


@pytest.mark.parametrize("key", ["cross_section", "filter_efficiency"])
@pytest.mark.parametrize("value", [1.5, -1, "x"])
def test_what_the_json_says_of_the_cross_section_of_data_means_nothing(key, value, tmp_path):
    source = tmp_path / "hnl.json"
    source.write_text(json.dumps({"A": HNL_DATA | {key: value}}))
    fileset = import_fileset(source, era="2018A")
    assert getattr(fileset["A"].metadata, key) is None


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("DsToNMu", ["mass", "ctau"]),
        ("DsToNMu_mN1p5", ["ctau"]),
        ("DsToNMu_ctau10p0mm", ["mass"]),
        ("DsToNMu_mN1p5_ctau10p0", ["ctau"]),
        ("DsToNMu_mN1p5_ctau10p0cm", ["ctau"]),
        ("DsToNMu_mN1p5p2_ctau10p0mm", ["mass"]),
        ("DsToNMu_mN_ctaumm", ["mass", "ctau"]),
        ("DsToNMu_xmN1p5_ctau1p0mm", ["mass"]),
    ],
)
def test_a_signal_whose_name_tells_too_little(name, lacking, tmp_path):
    units = {"mass": "GeV", "ctau": "mm"}
    assert faults(tmp_path, {name: HNL}, era="2018") == [
        f"dataset '{name}': its name does not state the {key}: name signal like "
        f"DsToNMu_NToMuPi_mN1p5_ctau100p0mm, or give it as '{key}', in {units[key]}"
        for key in lacking
    ]


def test_a_signal_whose_name_tells_two_masses(tmp_path):
    name = "mN1p5_mN1p0_ctau10p0mm_ctau10mm"
    assert faults(tmp_path, {name: HNL}, era="2018") == [
        f"dataset '{name}': its name states more than one mass: 1 and 1.5 GeV"
    ]


def test_a_mass_of_nothing_is_a_fault(tmp_path):
    (line,) = faults(tmp_path, {"mN0p0_ctau1p0mm": HNL}, era="2018")
    assert line == "dataset 'mN0p0_ctau1p0mm', metadata.mass: Input should be greater than 0"


def test_all_faults_of_hnl_samples_are_named_at_once(tmp_path):
    content = {
        SIGNAL: HNL | {"cross_section": -1, "file_name_list": []},
        "B": [],
        "C": {"type": "data", "files": "a.root", "era": "2018A"},
        "D": HNL_DATA | {"cross_section": 1.0},
    }
    assert sorted(faults(tmp_path, content)) == sorted(
        [
            f"no era is known of {SIGNAL}, D: give 'era', such as 2018D",
            f"dataset '{SIGNAL}': lacks 'file_name_list'",
            f"dataset '{SIGNAL}', metadata.cross_section: Input should be greater than 0",
            "dataset 'B': expected an object with 'dataset_category', 'file_name_list' and 'era'",
            "dataset 'C': lacks 'dataset_category'",
            "dataset 'C': lacks 'file_name_list'",
        ]
    )


def test_a_further_key_does_not_change_the_format(tmp_path):
    dataset = imported(tmp_path, dataset_category="data", das_string="/a/b/c")
    assert {entry.object_path for entry in dataset.files.values()} == {"Tree3Mu/ntuple"}
    assert dataset.metadata.model_extra == {"dataset_category": "data", "das_string": "/a/b/c"}


def test_the_command_takes_the_era(tmp_path, monkeypatch, capsys):
    def command(*words):
        monkeypatch.setattr(sys, "argv", ["bphcoffea", "fileset", "import", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code or 0, capsys.readouterr().err

    source, target = write(tmp_path, {SIGNAL: HNL}), tmp_path / "fileset.json"
    status, said = command(source, "-o", target)
    assert (status, said.count("\n")) == (2, 1)
    assert "give 'era'" in said
    assert command(source, "-o", target, "--era", "2018", "--prefix", "root://host")[0] == 0
    dataset = load_fileset(target)[SIGNAL]
    assert dataset.metadata.era == "2018"
    assert next(iter(dataset.files)) == "root://host//store/hnl/a.root"
