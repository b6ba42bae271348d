"""Names of datasets become names of files: whatever they are, nothing is lost or mixed up."""

import json

import pytest
import uproot
from damage import made_again
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, run
from bphcoffea.presentation import plot_run
from bphcoffea.results import RunFolder
from bphcoffea.results.file_names import LONGEST, file_name

LONG = "x" * 299
ODD = [
    "..",
    ".",
    "a/b",
    LONG + "a",
    LONG + "b",
    LONG + "B",
    "µ→" * 150,
    "2017b",
    "2017B",
    "%2E.",
    "a\x00\nb;1:$",
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2017B", "2017B"),
        ("DYJets (M-50) [1]", "DYJets (M-50) [1]"),
        ("/A/B-v1/MINIAODSIM", "%2FA%2FB-v1%2FMINIAODSIM"),
        (".", "%2E"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("x" * LONGEST, "x" * LONGEST),
    ],
)
def test_usual_names_stay_readable(name, expected):
    assert file_name(name) == expected


@example(names=["2017b", "2017B"])
@example(names=[LONG + "b", LONG + "B", LONG + "c"])
@settings(max_examples=40)
@given(names=st.lists(st.text(min_size=1, max_size=400), min_size=2, max_size=4, unique=True))
def test_names_of_files_differ_and_fit(names):
    made = [file_name(name, names) for name in names]
    assert len({name.casefold() for name in made}) == len(names)
    assert all(0 < len(name) <= LONGEST and name.isascii() for name in made)
    assert not any("/" in name or name.startswith(".") for name in made)


def test_an_encoded_character_is_not_cut():
    for length in range(LONGEST - 20, LONGEST + 1):
        name = file_name("x" * length + "µ" * 9)
        beginning = name.rpartition("-")[0]
        assert beginning[:length].strip("x") == ""
        assert "%C2%B5".startswith(beginning[length:][:6])
        assert len(beginning[length:]) % 3 == 0


def test_a_run_of_datasets_with_odd_names(ds_phipi, data, tmp_path):
    sound = data / "tree3mu_phipi_2017.root"
    files_of = [str(made_again(sound, tmp_path / f"{i}.root")) for i in range(len(ODD))]
    content = {
        name: {
            # each of another size, to tell them apart
            "files": {files_of[i]: {"object_path": "Tree3Mu/ntuple", "steps": [[0, 300 - 7 * i]]}},
            "metadata": {"is_mc": i > 5, "era": "2017D"},
        }
        for i, name in enumerate(ODD)
    }
    (tmp_path / "fileset.json").write_text(json.dumps(content))
    options = Options("iterative", skim=str(tmp_path / "skim"), skim_of="candidates")
    run(ds_phipi, load_fileset(tmp_path / "fileset.json"), tmp_path / "run", options)
    folder = RunFolder(tmp_path / "run")
    assert sorted(folder.cutflow) == sorted(ODD)
    files = [path.name for path in (folder.path / "candidates").iterdir()]
    assert len({name.casefold() for name in files}) == len(files) == len(ODD)
    with uproot.open(folder.path / "histograms.root") as root:
        for i, name in enumerate(ODD):
            steps = folder.cutflow[name]
            assert steps[0]["events"] == 300 - 7 * i
            assert folder.candidates(name).num_rows == steps[-1]["events"] > 0
            expected = folder.histograms()["mass"][name, "all", "nominal", :].values()
            assert root[f"{file_name(name)}/mass"].values().tolist() == expected.tolist()
            skim = tmp_path / "skim" / file_name(name, ODD)
            assert len(list(skim.iterdir())) == 1
    # the figures of other variables are named alike
    folder.write("histograms.json", {"mass": folder.read("histograms.json")["mass"]})
    figures = plot_run(folder)
    assert len({str(path).casefold() for path in figures}) == len(figures)
    cutflows = [path for path in figures if path.name.startswith("cutflow_")]
    assert len(cutflows) == 1 + sum(i > 5 for i in range(len(ODD)))
    assert all(len(path.name) < 255 and path.is_file() for path in figures)
