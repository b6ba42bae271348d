"""Declarations of the TOML of an era are loaded, and each fault is reported with its place."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from bphcoffea.corrections import Corrections, load_corrections
from bphcoffea.corrections.declaration import read_declaration
from bphcoffea.errors import InputError
from bphcoffea.execution.checkpoints import fingerprint

SHIPPED = Path(__file__).parents[2] / "datasets" / "corrections"
TOYS = (SHIPPED / "toys.toml").read_text()
TRIGGER = """
[trigger.data]
file = "trigger.json.gz"
name = "efficiency_data"
out_of_range = "clamp"

[trigger.simulation]
file = "trigger.json.gz"
name = "efficiency_simulation"
out_of_range = "clamp"
"""
LUMINOSITY = """\
[luminosity]
golden = "golden.json"
table = "lumi.csv"
"""
WHOLE = TOYS.replace("[luminosity]\n", LUMINOSITY) + TRIGGER


@pytest.fixture
def folder(tmp_path):
    """Folder with all files that a TOML can name."""
    folder = tmp_path / "corrections"
    folder.mkdir()
    for file in SHIPPED.glob("*.json.gz"):
        shutil.copy(file, folder)
    (folder / "golden.json").write_text('{"297047": [[1, 10]]}')
    (folder / "lumi.csv").write_text(
        "#run:fill,ls,time,beamstatus,E(GeV),delivered(/pb),recorded(/pb),avgpu,source\n"
        "297047:5838,1:1,06/17/17 09:00:00,STABLE BEAMS,6500,2.0,1.5,30,HFET\n"
    )
    return folder


@pytest.fixture
def era(folder):
    """Load corrections from the text of a TOML."""

    def era(text=WHOLE):
        (folder / "era.toml").write_text(text)
        return load_corrections([folder / "era.toml"])

    return era


@pytest.fixture
def faults(folder, era):
    """Return the faults of a TOML, without its path."""

    def faults(text):
        with pytest.raises(InputError) as raised:
            era(text)
        prefix = f"{folder / 'era.toml'}: "
        lines = str(raised.value).splitlines()
        assert all(line.startswith(prefix) for line in lines)
        return [line.removeprefix(prefix) for line in lines]

    return faults


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_everything_that_is_declared(era, folder):
    (made,) = era()
    assert (made.name, made.eras) == ("toys", ("2017*", "2018*"))
    assert made.declared() == ("pileup", "muon_id", "muon_reconstruction", "trigger")
    assert made.momentum["muon"].resolution == 0.003
    assert made.luminosity_uncertainty == 0.025
    assert made.golden.certifies(297047, 10).all()
    assert made.table.luminosity.tolist() == [0.0015]
    described = json.loads(json.dumps(made.describe()))
    assert described["sha256"] == digest(folder / "era.toml")
    assert described["file"] == str(folder / "era.toml")
    assert described["luminosity"] == {
        "uncertainty": 0.025,
        "golden": {"file": str(folder / "golden.json"), "sha256": digest(folder / "golden.json")},
        "table": {"file": str(folder / "lumi.csv"), "sha256": digest(folder / "lumi.csv")},
    }
    assert described["momentum"]["track"] == {"scale": 0.0005, "resolution": 0.003}
    sections = {
        "pileup": ("puWeights", "Collisions_toys_goldenJSON"),
        "muon_id": ("muon_JPsi", "NUM_LooseID_DEN_TrackerMuons"),
        "muon_reconstruction": ("muon_JPsi", "NUM_TrackerMuons_DEN_genTracks"),
    }
    for section, (stem, name) in sections.items():
        file = folder / f"{stem}.json.gz"
        assert described[section] == {
            "file": str(file),
            "sha256": digest(file),
            "name": name,
            "version": 1,
            "inputs": {},
            "out_of_range": "error",
            "uncertainties": ["whole"] if section == "pileup" else ["stat", "syst"],
        }
    for side in ("data", "simulation"):
        assert described["trigger"][side]["sha256"] == digest(folder / "trigger.json.gz")
        assert described["trigger"][side]["name"] == f"efficiency_{side}"


def test_all_but_name_and_eras_may_be_left_out(era):
    (made,) = era('name = "bare"\neras = ["2018"]')
    assert made.declared() == ()
    assert (made.golden, made.table, made.luminosity_uncertainty) == (None, None, 0)
    assert made.describe()["momentum"] == {}


def test_files_lie_beside_the_toml_wherever_one_stands(folder, era, monkeypatch, tmp_path):
    era()
    monkeypatch.chdir(tmp_path)
    (made,) = load_corrections([Path("corrections") / "era.toml"])
    assert made.describe()["muon_id"]["file"] == str(folder / "muon_JPsi.json.gz")
    monkeypatch.chdir(folder)
    (made,) = load_corrections(["era.toml"])
    assert made.describe()["file"] == str(folder / "era.toml")
    absolute = WHOLE.replace('"muon_JPsi', f'"{folder}/muon_JPsi')
    (tmp_path / "other.toml").write_text(absolute[: absolute.index("[trigger")])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as raised:
        load_corrections(["other.toml"])
    # the absolute ones are found
    assert [line.split("]")[0] for line in str(raised.value).splitlines()] == [
        "other.toml: [pileup",
        "other.toml: [luminosity",
        "other.toml: [luminosity",
    ]


def test_a_byte_order_mark_does_no_harm(folder):
    (folder / "era.toml").write_text("\ufeff" + WHOLE, encoding="utf-8")
    assert read_declaration(folder / "era.toml").name == "toys"


def section(text, name):
    """Return a TOML with lines added to a section."""
    return WHOLE.replace(f"[{name}]\n", f"[{name}]\n{text}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["name: is missing", "eras: is missing"]),
        (WHOLE.replace('eras = ["2017*", "2018*"]', "eras = []"), ["eras: is empty"]),
        (
            WHOLE.replace('eras = ["2017*", "2018*"]', 'eras = [""]'),
            ["eras.0: is empty", "eras: is empty"],
        ),
        (WHOLE.replace('["2017*", "2018*"]', '"2017"'), ["eras: must be a list"]),
        (WHOLE.replace('name = "toys"', "name = 5"), ["name: must be a text in quotes"]),
        (WHOLE.replace('name = "toys"', 'name = ""'), ["name: is empty"]),
        (
            WHOLE.replace('out_of_range = "error"\n', "", 1),
            [
                'pileup.out_of_range: is missing: say "clamp" (take the nearest bin) or "error"',
            ],
        ),
        (
            WHOLE.replace('out_of_range = "error"', 'out_of_range = "ignore"', 1),
            [
                "pileup.out_of_range: Input should be 'clamp' or 'error': "
                'say "clamp" (take the nearest bin) or "error"'
            ],
        ),
        (
            WHOLE.replace("[pileup]\nfile", "[pileup]\npath"),
            ["pileup.file: is missing", "pileup.path: is not known here"],
        ),
        (
            section("", "muon_id").replace("[muon_id]", "[muon_iso]"),
            ["muon_iso: is not known here"],
        ),
        ("muon_id = 5\n" + WHOLE[: WHOLE.index("[lum")], ["muon_id: must be a section"]),
        (
            section("inputs = { year = 2018 }", "muon_id"),
            ["muon_id.inputs.year: must be a text in quotes"],
        ),
        (section('inputs = "2018"', "muon_id"), ["muon_id.inputs: must be a section"]),
        (
            WHOLE[: WHOLE.index("[trigger.simulation]")],
            ["trigger.simulation: is missing"],
        ),
        (
            section("", "momentum.muon").replace("[momentum.muon]", "[momentum.electron]"),
            ["momentum.electron: Input should be 'muon' or 'track'"],
        ),
        (
            WHOLE.replace("scale = 0.0005", "scale = -0.5", 1),
            ["momentum.muon.scale: Input should be greater than or equal to 0"],
        ),
        (
            WHOLE.replace("scale = 0.0005", "scale = nan", 1),
            ["momentum.muon.scale: Input should be a finite number"],
        ),
        (
            WHOLE.replace("scale = 0.0005", 'scale = "0.0005"', 1),
            ["momentum.muon.scale: must be a number"],
        ),
        (
            WHOLE.replace("uncertainty = 0.025", "uncertainty = 2.5"),
            ["luminosity.uncertainty: Input should be less than 1"],
        ),
        (
            WHOLE.replace("uncertainty = 0.025", "uncertainty = true"),
            ["luminosity.uncertainty: must be a number"],
        ),
        (WHOLE.replace('"golden.json"', "true"), ["luminosity.golden: must be a text in quotes"]),
    ],
)
def test_faults_of_the_toml(faults, text, expected):
    assert faults(text) == expected


def test_numbers_may_be_whole(era):
    (made,) = era(WHOLE.replace("uncertainty = 0.025", "uncertainty = 0"))
    assert made.luminosity_uncertainty == 0


def test_what_is_no_toml(folder, faults, monkeypatch):
    (line,) = faults("name = ")
    assert line.startswith("not a TOML file (")
    (folder / "bad.toml").write_bytes(b'name = "\xff"')
    for path, text in {
        "bad.toml": "not a TOML file ('utf-8' codec",
        "none.toml": "no such file of corrections",
        ".": "cannot be read (Is a directory)",
    }.items():
        with pytest.raises(InputError) as raised:
            load_corrections([folder / path])
        assert str(raised.value).startswith(f"{folder / path}: {text}")
        assert len(str(raised.value).splitlines()) == 1


def test_a_correction_file_that_is_not_there(faults, folder):
    (line,) = faults(WHOLE.replace('"puWeights.json.gz"', '"puWeight.json.gz"'))
    files = "muon_JPsi.json.gz, muon_JPsi_v1.json.gz, puWeights.json.gz, trigger.json.gz"
    assert line == (
        f"[pileup] {folder}/puWeight.json.gz: no such correction file; "
        f"did you mean 'puWeights.json.gz'? Beside it: golden.json, {files}"
    )


def test_corrections_that_are_not_there(faults, folder):
    # all faults are reported at once
    lines = faults(
        WHOLE.replace('"NUM_LooseID_DEN_TrackerMuons"', '"NUM_TightID"')
        .replace('"efficiency_data"', '"data"')
        .replace('"efficiency_simulation"', '"mc"')
        .replace('"golden.json"', '"Cert.json"')
        .replace('"lumi.csv"', '"none.csv"')
    )
    names = (
        "NUM_LooseID_DEN_TrackerMuons, NUM_SoftID_DEN_TrackerMuons, NUM_TrackerMuons_DEN_genTracks"
    )
    both = "the file holds: efficiency_data, efficiency_simulation"
    trigger = f"{folder}/trigger.json.gz: no correction"
    assert lines[:3] == [
        f"[muon_id] {folder}/muon_JPsi.json.gz: no correction 'NUM_TightID'; "
        f"the file holds: {names}",
        f"[trigger] data: {trigger} 'data'; {both}",
        f"[trigger] simulation: {trigger} 'mc'; {both}",
    ]
    assert lines[3].startswith(f"[luminosity] {folder}/Cert.json: no such file")
    assert lines[4].startswith(f"[luminosity] {folder}/none.csv: no such file")
    assert len(lines) == 5


def test_keys_of_inputs_that_are_not_there(faults, folder):
    older = WHOLE.replace('"muon_JPsi.json.gz"', '"muon_JPsi_v1.json.gz"')
    source = f"{folder}/muon_JPsi_v1.json.gz: correction 'NUM_LooseID_DEN_TrackerMuons'"
    assert faults(older.replace("[muon_id]\n", '[muon_id]\ninputs = { year = "2017" }\n')) == [
        f"[muon_id] {source}: input 'year' has no key '2017' (muon_id.inputs); it has: 2018_UL"
    ]
    assert faults(older.replace("[muon_id]\n", '[muon_id]\ninputs = { era = "2018_UL" }\n')) == [
        f"[muon_id] {source} has no text input 'era' (muon_id.inputs); its inputs are "
        "year (string), abseta (real), pt (real), ValType (string)"
    ]


def test_sections_with_the_wrong_correction(faults, folder):
    wrong = WHOLE.replace('"puWeights.json.gz"', '"trigger.json.gz"')
    (line,) = faults(wrong.replace('"Collisions_toys_goldenJSON"', '"efficiency_data"'))
    assert line.startswith("[pileup] ")
    assert line.endswith("a pile-up weight takes one number, the true number of interactions")


def test_all_files_are_told(folder):
    (folder / "a.toml").write_text("name = 1")
    (folder / "b.toml").write_text('name = "b"\neras = []')
    with pytest.raises(InputError) as raised:
        load_corrections([folder / "a.toml", folder / "b.toml", folder / "c.toml"])
    assert str(raised.value).splitlines() == [
        f"{folder}/a.toml: name: must be a text in quotes",
        f"{folder}/a.toml: eras: is missing",
        f"{folder}/b.toml: eras: is empty",
        f"{folder}/c.toml: no such file of corrections",
    ]


def test_corrections_of_an_era(folder):
    for name, eras in {"a": '"2017*", "2018[AB]"', "b": '"2018C", "2018D", "2016?"'}.items():
        (folder / f"{name}.toml").write_text(f'name = "{name}"\neras = [{eras}]')
    paths = [folder / "a.toml", folder / "b.toml"]
    loaded = load_corrections(paths)
    assert bool(loaded)
    for of_era, name in {
        "2017": "a",
        "2017B": "a",
        "2018B": "a",
        "2018D": "b",
        "2016F": "b",
    }.items():
        assert loaded.for_era(of_era).name == name
    for of_era in ("2016", "2018", "2018c", "22018C"):
        with pytest.raises(InputError) as raised:
            loaded.for_era(of_era)
        assert str(raised.value) == (
            f"no corrections for the era {of_era}; there are: 'a' for 2017*, 2018[AB]; "
            "'b' for 2018C, 2018D, 2016?"
        )
    (folder / "c.toml").write_text('name = "c"\neras = ["2017B"]')
    with pytest.raises(InputError) as raised:
        load_corrections([*paths, folder / "c.toml"]).for_era("2017B")
    assert str(raised.value) == (
        f"more than one set of corrections for the era 2017B: {paths[0]} and {folder}/c.toml; "
        "give one of them"
    )


def test_no_corrections_are_none_for_any_era():
    assert not Corrections()
    assert load_corrections([]).for_era("2018A") is None


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_eras_can_be_pickled(era, module):
    loaded = era()
    before = loaded.for_era("2018A")
    after = module.loads(module.dumps(loaded)).for_era("2018A")
    assert before.table is not None
    assert after.table is None
    described = before.describe()
    del described["luminosity"]["table"]
    assert after.describe() == described
    assert after.momentum == before.momentum
    assert after.golden.certifies([297047, 297047], [10, 11]).tolist() == [True, False]
    pt, eta = np.array([3.0, 30.0]), np.array([0.1, -2.3])
    for name in ("muon_id", "muon_reconstruction"):
        one, other = (getattr(of, name).evaluate(pt, eta) for of in (before, after))
        assert other.nominal.tolist() == one.nominal.tolist()
        assert other.shifts["syst"][0].tolist() == one.shifts["syst"][0].tolist()
    muons = [{"pt": pt, "ips_xy": np.array([5.0, 6.0])}]
    assert (
        after.trigger.evaluate(muons).nominal.tolist()
        == before.trigger.evaluate(muons).nominal.tolist()
    )
    assert after.pileup.evaluate(pt).nominal.tolist() == before.pileup.evaluate(pt).nominal.tolist()


def test_every_load_pickles_to_the_same_bytes(era, folder, ds_phipi):
    # checkpoints are keyed by these bytes
    first, second = era(), era()
    for module in (pickle, cloudpickle):
        assert module.dumps(first) == module.dumps(second)
    key = fingerprint(ds_phipi.corrected(first))
    assert fingerprint(ds_phipi.corrected(second)) == key
    # evaluating, luminosities and pickling don't change them
    first.for_era("2018A").muon_id.evaluate(np.array([3.0]), np.array([0.1]))
    assert fingerprint(ds_phipi.corrected(first)) == key
    assert fingerprint(ds_phipi.corrected(pickle.loads(pickle.dumps(first)))) == key
    assert fingerprint(ds_phipi) != key
    assert fingerprint(ds_phipi) == fingerprint(ds_phipi.corrected(Corrections()))
    assert fingerprint(ds_phipi.corrected(first, nominal_only=True)) != key
    (folder / "muon_JPsi.json.gz").write_bytes((folder / "muon_JPsi.json.gz").read_bytes() + b"\0")
    assert fingerprint(ds_phipi.corrected(era())) != key


def test_every_interpreter_pickles_to_the_same_bytes(era, folder):
    era()
    program = (
        "import hashlib, sys, cloudpickle; from bphcoffea.corrections import load_corrections; "
        "print(hashlib.sha256(cloudpickle.dumps(load_corrections([sys.argv[1]]))).hexdigest())"
    )
    words = [sys.executable, "-c", program, str(folder / "era.toml")]
    found = {
        subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
