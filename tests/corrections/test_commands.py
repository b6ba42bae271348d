"""Commands that show, convert and make files of corrections, as a user types them."""

import gzip
import itertools
import json
import shutil
from pathlib import Path

import correctionlib
import hist
import numpy as np
import pytest
import uproot
from correction_files import binning, category, correction, evaluator, multibinning, stored

SHIPPED = Path(__file__).parents[2] / "datasets" / "corrections"


@pytest.fixture
def command(bphcoffea):
    """Run a command of ``bphcoffea corrections``: exit status, standard output, standard error."""

    def command(*words):
        ended = bphcoffea("corrections", *words)
        return ended.status, ended.out, ended.err

    return command


@pytest.fixture
def fault(command):
    """Run a command that fails, and return its only line of error."""

    def fault(*words):
        status, out, err = command(*words)
        assert (status, out) == (2, "")
        (line,) = err.splitlines()
        assert line.startswith("bphcoffea: error: ")
        return line.removeprefix("bphcoffea: error: ")

    return fault


PT = [2.0, 2.5, 3.0, 4.5, 10.0]
ABSETA = [0.0, 0.9, 1.2, 2.4]


@pytest.fixture
def maps(tmp_path):
    """ROOT file with two maps of scale factors, and weights and profiles of pile-up."""
    random = np.random.default_rng(9)
    path = tmp_path / "in.root"
    with uproot.recreate(path) as file:
        for name in ("id", "folder/reco"):
            made = hist.Hist(
                hist.axis.Variable(PT), hist.axis.Variable(ABSETA), storage=hist.storage.Weight()
            )
            made.view().value = random.uniform(0.9, 1.1, (4, 3))
            made.view().variance = random.uniform(1e-6, 1e-4, (4, 3))
            file[name] = made
        edges = np.arange(5.0)
        for name, values in {
            "pu": [0.5, 1.0, 1.5, 0.25],
            "pu_up": [0.25, 0.75, 2.0, 0.5],
            "pu_down": [0.75, 1.25, 1.0, 0.0],
            "data": [1.0, 2.0, 4.0, 1.0],
            "data_up": [1.0, 1.0, 4.0, 2.0],
            "data_down": [2.0, 3.0, 2.0, 1.0],
            "mc": [2.0, 2.0, 2.0, 2.0],
        }.items():
            file[name] = (np.array(values), edges)
    return path


def test_a_file_is_shown(command):
    status, out, err = command("show", SHIPPED / "muon_JPsi_v1.json.gz")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[:5] == [
        "NUM_LooseID_DEN_TrackerMuons (version 1)",
        "    year (string): 2018_UL",
        "    abseta (real): 0 to 2.4",
        "    pt (real): 1.5 to inf",
        "    ValType (string): sf, stat, syst, systup, systdown",
    ]
    assert [line for line in lines if not line.startswith(" ")] == [
        f"NUM_{name} (version 1)"
        for name in (
            "LooseID_DEN_TrackerMuons",
            "SoftID_DEN_TrackerMuons",
            "TrackerMuons_DEN_genTracks",
        )
    ]


def test_all_that_a_file_holds_is_shown(command, tmp_path):
    inputs = {"charge": "int", "pt": "real", "eta": "real"}
    axes = [{"n": 2, "low": 0.0, "high": 9.0}, [-2.4, 0.0, 2.4]]
    sound = category("charge", {-1: multibinning(["pt", "eta"], axes, [0.5] * 4), 1: 0.5})
    compound = {
        "name": "[all]",
        "inputs": [],
        "output": {"name": "weight", "type": "real"},
        "inputs_update": [],
        "input_op": "*",
        "output_op": "*",
        "stack": ["sound"],
    }
    path = stored(
        tmp_path / "c.json",
        correction("broken [b]", {"pt": "real"}, binning("pt", [1, 2], [0.5])),
        correction("sound", inputs, sound, version=7),
        compound_corrections=[compound],
    )
    status, out, _ = command("show", path)
    assert status == 0
    assert out.splitlines() == [
        "broken [b]: correctionlib cannot read the correction 'broken [b]' (Invalid edge type)",
        "sound (version 7)",
        "    charge (int): -1, 1",
        "    pt (real): 0 to 9",
        "    eta (real): -2.4 to 2.4",
        "[all]: a compound correction, for the energies of jets or electrons",
    ]


def test_a_toml_is_shown(command, tmp_path):
    status, out, err = command("show", SHIPPED / "toys.toml")
    assert (status, err) == (0, "")
    shown = json.loads(out)
    assert shown["name"] == "toys"
    assert shown["muon_id"]["uncertainties"] == ["stat", "syst"]
    shutil.copy(SHIPPED / "toys.toml", tmp_path)
    status, out, err = command("show", tmp_path / "toys.toml")
    assert (status, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 3
    prefix = f"bphcoffea: error: {tmp_path}/toys.toml: [pileup] {tmp_path}/puWeights.json.gz: "
    assert lines[0] == f"{prefix}no such correction file"


def test_what_cannot_be_shown(fault, tmp_path, maps):
    assert fault("show", tmp_path / "none.json") == f"{tmp_path}/none.json: no such correction file"
    assert (
        fault("show", tmp_path / "none.toml")
        == f"{tmp_path}/none.toml: no such file of corrections"
    )
    assert fault("show", tmp_path) == f"{tmp_path}: cannot be read (Is a directory)"
    assert fault("show", maps).startswith(f"{maps}: not a correctionlib file (")


def test_maps_become_one_file(command, tmp_path, maps):
    target = tmp_path / "new" / "sf.json.gz"
    words = ("convert", f"id={maps}:id", f"reco={maps}:folder/reco", "-o", target)
    status, out, err = command(*words, "--inputs", "pt, abseta", "--flow", "clamp")
    assert (status, err) == (0, "")
    assert out == f"{target}: id, reco\n"
    content = json.loads(gzip.decompress(target.read_bytes()))
    assert content["description"] == "made from in.root:id, in.root:folder/reco"
    with uproot.open(maps) as file:
        for name, histogram in {"id": file["id"], "reco": file["folder/reco"]}.items():
            oracle = evaluator(target, name)
            assert [variable.name for variable in oracle.inputs] == [
                "pt",
                "abseta",
                "scale_factors",
            ]
            for (i, pt), (j, abseta) in itertools.product(
                enumerate(PT[:-1]), enumerate(ABSETA[:-1])
            ):
                # correctionlib's reader of JSON may miss the last binary digit
                assert oracle.evaluate(pt, abseta, "nominal") == pytest.approx(
                    histogram.values()[i, j], rel=2**-52, abs=0
                )
                assert oracle.evaluate(pt, abseta, "stat") == pytest.approx(
                    histogram.errors()[i, j], rel=2**-52, abs=0
                )
            assert oracle.evaluate(99.0, 9.0, "nominal") == oracle.evaluate(9.0, 2.0, "nominal")
    status, out, _ = command("show", target)
    assert "    pt (real): 2 to 10\n    abseta (real): 0 to 2.4\n" in out


def test_values_outside_are_an_error_unless_said(command, tmp_path, maps):
    target = tmp_path / "sf.json"
    assert command("convert", f"id={maps}:id", "-o", target)[0] == 0
    assert [variable.name for variable in evaluator(target, "id").inputs][:2] == ["pt", "eta"]
    with pytest.raises(RuntimeError):
        evaluator(target, "id").evaluate(99.0, 1.0, "nominal")


def test_weights_of_pileup_with_their_shifts(command, tmp_path, maps):
    target = tmp_path / "pu.json"
    shifts = ("--up", f"{maps}:pu_up", "--down", f"{maps}:pu_down")
    assert command("convert", "--pileup", f"pu={maps}:pu", *shifts, "-o", target)[0] == 0
    oracle = evaluator(target, "pu")
    for key, values in {
        "nominal": [0.5, 1.0, 1.5, 0.25, 0.25],
        "up": [0.25, 0.75, 2.0, 0.5, 0.5],
        "down": [0.75, 1.25, 1.0, 0.0, 0.0],
    }.items():
        assert [oracle.evaluate(n + 0.5, key) for n in range(5)] == values
    assert command("convert", "--pileup", f"pu={maps}:pu", "-o", target)[0] == 0
    with pytest.raises(IndexError):
        evaluator(target, "pu").evaluate(0.5, "up")


OLDER = {
    "schema_version": 1,
    "corrections": [
        {
            "name": "sf",
            "version": 3,
            "inputs": [{"name": "pt", "type": "real"}, {"name": "kind", "type": "string"}],
            "output": {"name": "weight", "type": "real"},
            "data": {
                "nodetype": "binning",
                "edges": [1.0, 2.0],
                "content": [{"nodetype": "category", "keys": ["sf", "up"], "content": [0.5, 0.6]}],
            },
        }
    ],
}
TAG_AND_PROBE = {
    "NUM_SoftID": {"pt": {"pt:[2.0,4.0]": {"value": 0.75, "stat": 0.25, "syst": 0.0}}},
    "NUM_LooseID": {"pt": {"pt:[2.0,4.0]": {"value": 0.5, "stat": 0.25, "syst": 0.0}}},
}


@pytest.mark.parametrize("name", ["old.json", "old=1.json", "old.json.gz"])
def test_older_files_become_new_ones(command, fault, tmp_path, name):
    source, target = tmp_path / name, tmp_path / "new.json.gz"
    text = json.dumps(OLDER).encode()
    source.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    # the advice in the message works
    advice = fault("show", source).partition("make one with: bphcoffea corrections ")[2]
    assert advice == f"convert {source} -o NEW.json.gz"
    status, out, err = command(*advice.replace("NEW.json.gz", str(target)).split())
    assert (status, out, err) == (0, f"{target}: sf\n", "")
    assert evaluator(target, "sf").evaluate(1.5, "up") == 0.6
    assert (
        "sf (version 3)\n    pt (real): 1 to 2\n    kind (string): sf, up\n"
        in command("show", target)[1]
    )


def test_json_of_tag_and_probe(command, tmp_path):
    source, target = tmp_path / "RunABCD.json", tmp_path / "new.json"
    source.write_text(json.dumps(TAG_AND_PROBE))
    assert command("convert", source, "-o", target)[0] == 0
    content = correctionlib.CorrectionSet.from_file(str(target))
    assert set(content) == set(TAG_AND_PROBE)
    assert content["NUM_SoftID"].evaluate(3.0, "systup") == 1.0
    assert json.loads(target.read_text())["description"] == "made from RunABCD.json"


WRITE = "write NAME=file.root:path/of/it, or one older .json"


def test_bad_arguments_of_convert(fault, command, tmp_path, maps):
    out = ("-o", tmp_path / "new.json")
    old = tmp_path / "old.json"
    old.write_text(json.dumps(TAG_AND_PROBE))
    both = ("--up", f"{maps}:pu_up", "--down", f"{maps}:pu_down")
    for words, text in (
        ((f"{maps}:id",), f"{maps}:id: {WRITE}"),
        ((f"={maps}:id",), f"={maps}:id: {WRITE}"),
        (("id=",), f"id=: {WRITE}"),
        ((f"id={maps}:id", old), f"{old}: {WRITE}"),
        ((f"id={maps}",), f"{maps}: names no histogram"),
        ((f"id={maps}:none",), f"{maps}: no histogram 'none'; the file holds id (TH2D), folder/re"),
        ((f"id={maps}:pu",), f"{maps}:pu: has 1 axes, but 2 names of inputs were given (pt, eta)"),
        ((f"id={maps}:id", "--inputs", "pt,"), "--inputs 'pt,': write the name of each axis"),
        ((f"id={maps}:id", "--inputs", ""), "--inputs '': write the name of each axis"),
        (
            (f"id={maps}:id", f"id={maps}:folder/reco"),
            f"{out[1]}: corrections of the same name (id)",
        ),
        ((f"pu={maps}:pu", *both), "--up and --down apply to pile-up weights; add --pileup"),
        (
            ("--pileup", f"a={maps}:pu", f"b={maps}:pu", *both),
            "--up and --down apply to one histogram",
        ),
        (("--pileup", f"pu={maps}:pu", *both[:2]), f"{maps}:pu_up: up and down go together"),
        (("--pileup", f"pu={maps}:id"), f"{maps}:id: is a TH2; pile-up has one axis"),
        (("--pileup", old), "--pileup, --up and --down apply to histograms, not to an older .json"),
        ((tmp_path / "none.json",), f"{tmp_path}/none.json: no such file"),
    ):
        assert fault("convert", *words, *out).startswith(text)
    assert not out[1].exists()
    old.write_bytes(gzip.compress(b"{}")[:-9])
    assert fault("convert", old, *out).startswith(f"{old}: truncated or corrupt gzip (")
    message = fault("convert", f"id={maps}:id", "-o", tmp_path / "new.root")
    assert message.endswith("the name must end with .json or .json.gz")
    # errors that the command line itself reports
    for words in ((f"id={maps}:id",), (f"id={maps}:id", *out, "--flow", "wrap"), out):
        assert command("convert", *words)[0] == 2


def test_weights_of_pileup_from_profiles(command, fault, tmp_path, maps):
    target = tmp_path / "pu.json.gz"
    shifts = ("--data-up", f"{maps}:data_up", "--data-down", f"{maps}:data_down")
    words = ("pileup", f"{maps}:data", f"{maps}:mc", "-o", target)
    status, out, err = command(*words, *shifts, "--name", "Collisions18")
    assert (status, out, err) == (0, f"{target}: Collisions18\n", "")
    oracle = evaluator(target, "Collisions18")
    for key, profile in {
        "nominal": [1, 2, 4, 1],
        "up": [1, 1, 4, 2],
        "down": [2, 3, 2, 1],
    }.items():
        # both profiles have eight entries, those of simulation alike
        assert [oracle.evaluate(n + 0.5, key) for n in range(4)] == [n / 2 for n in profile]
    probabilities = tmp_path / "mc.txt"
    probabilities.write_text("0.5 0.25 0.25")
    message = fault("pileup", f"{maps}:data", probabilities, "-o", target)
    assert "12% of the data's profile has no simulated events" in message
    assert "go together" in fault(*words, *shifts[:2])
    assert fault("pileup", f"{maps}:data", f"{maps}:none", "-o", target).startswith(
        f"{maps}: no histogram 'none'"
    )
    assert list(correctionlib.CorrectionSet.from_file(str(target))) == ["Collisions18"]


def test_notes_of_what_was_made(command, tmp_path, maps):
    target = tmp_path / "sf.json"
    status, out, _ = command("convert", f"down={maps}:pu_down", "--inputs", "n", "-o", target)
    assert status == 0
    assert out == f"note: down: 1 of 4 bins are 0: n [3, 4)\n{target}: down\n"
