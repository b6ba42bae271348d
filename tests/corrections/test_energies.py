"""Sections that calibrate leptons: every mistake in the TOML or its files is one clear line."""

import json

import energy_payloads
import numpy as np
import pytest

from bphcoffea.corrections import load_corrections
from bphcoffea.corrections.compiled import CompiledCorrections
from bphcoffea.errors import CorrectionsError

ELECTRONS = {
    "file": '"egamma.json"',
    "scale": '"EGMScale_Compound_Ele_2022preEE"',
    "smearing": '"EGMSmearAndSyst_ElePTsplit_2022preEE"',
}
RUN2 = {
    "file": '"egamma_run2.json"',
    "scale_uncertainty": '"UL-EGM_ScaleUnc"',
    "inputs": '{ year = "2018" }',
}
TAUS = {
    "file": '"taus.json"',
    "name": '"tau_energy_scale"',
    "out_of_range": '"clamp"',
    "inputs": '{ id = "DeepTau2018v2p5", wp = "Medium" }',
}
MUONS = {"file": '"scare.json"'}


def load(folder, where, section, name="2022"):
    path = folder / "era.toml"
    lines = "\n".join(f"{key} = {value}" for key, value in section.items())
    path.write_text(f'name = "{name}"\neras = ["*"]\n[{where}]\n{lines}\n')
    return load_corrections([path]).for_era("2022")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("payloads")
    energy_payloads.scare(folder / "scare.json")
    energy_payloads.scare(folder / "part.json", without=("k_mc",))
    energy_payloads.egamma(folder / "egamma.json")
    energy_payloads.egamma_run2(folder / "egamma_run2.json")
    energy_payloads.taus(folder / "taus.json")
    (folder / "text.txt").write_text("NSET 2\nsomething else\n")
    (folder / "empty.txt").write_text("")
    return folder


def renamed(part, old, new):
    """Rename an input or a key in one correction of a file."""

    def change(content):
        for number, correction in enumerate(content["corrections"]):
            if correction["name"] == part:
                text = json.dumps(correction).replace(f'"{old}"', f'"{new}"')
                content["corrections"][number] = json.loads(text)

    return change


def replaced(part, other):
    """Give one correction of a file the content of another one."""

    def change(content):
        corrections = {c["name"]: c for c in content["corrections"]}
        corrections[part] = {**corrections[other], "name": part}
        content["corrections"] = list(corrections.values())

    return change


@pytest.mark.parametrize(
    ("where", "section", "message"),
    [
        ("muon_momentum.Muon", {"file": '"none.txt"'}, "none.txt: no such file of muon momenta"),
        ("muon_momentum.Muon", {"file": '"text.txt"'}, "neither a file of Rochester corrections"),
        ("muon_momentum.Muon", {"file": '"empty.txt"'}, "neither a file of Rochester corrections"),
        ("muon_momentum.Muon", {"file": '"part.json"'}, "no correction 'k_mc'; the file holds: a_"),
        (
            "muon_momentum.Muon",
            MUONS | {"fil": "1"},
            "muon_momentum.Muon.fil: is not known here",
        ),
        ("muon_momentum.Muon", MUONS | {"min_pt": '"26"'}, "min_pt: must be a number"),
        ("muon_momentum.Muon", MUONS | {"decorrelated": "1"}, "must be true or false"),
        (
            "electron_energy.Electron",
            ELECTRONS | {"scale": '"EGMScale"'},
            "no correction 'EGMScale'; the file holds: EGMScale_Compound_Ele_2022preEE, Run_ScEta",
        ),
        ("electron_energy.Electron", {"file": '"egamma.json"'}, "file needs a correction of it"),
        ("electron_energy.Electron", {"scale": '"x"'}, "file needs a correction of it"),
        (
            "electron_energy.Electron",
            ELECTRONS | {"branches": '["scale"]'},
            "smearing has the uncertainties of the scale and of the resolution; leave",
        ),
        (
            "electron_energy.Electron",
            RUN2 | {"branches": '["scale"]'},
            "scale_uncertainty and the branches of the scale; give one of them",
        ),
        (
            "electron_energy.Electron",
            {key: value for key, value in RUN2.items() if key != "inputs"},
            "'UL-EGM_ScaleUnc' has the text inputs year, ValType; name the keys of all but",
        ),
        (
            "electron_energy.Electron",
            RUN2 | {"inputs": '{ year = "2017" }'},
            "'UL-EGM_ScaleUnc' has no key 'scaleup' of the input 'ValType'; it has: none",
        ),
        (
            "electron_energy.Electron",
            ELECTRONS | {"smearing": '"Pt_R9"'},
            "'Pt_R9' has no key 'smear' of the input 'syst'; it has: scale, escale",
        ),
        (
            "electron_energy.Electron",
            {"file": '"scare.json"', "scale": '"a_mc"'},
            "'a_mc' has the input phi; corrections of electrons may have run, pt, ScEta",
        ),
        (
            "electron_energy.Electron",
            {"branches": '["energy"]'},
            "electron_energy.Electron.branches",
        ),
        (
            "tau_energy.Tau",
            TAUS | {"inputs": '{ id = "DeepTau2017v2p1", wp = "Medium" }'},
            "input 'id' has no key 'DeepTau2017v2p1' (tau_energy.Tau.inputs); "
            "did you mean 'DeepTau2018",
        ),
        ("tau_energy.Tau", TAUS | {"name": '"tes"'}, "no correction 'tes'; the file holds: tau_en"),
        ("tau_energy.Tau", TAUS | {"split": '"dm"'}, "tau_energy.Tau.split: must be true or false"),
        ("unclustered_energy.MET", {"up": "1"}, "unclustered_energy.MET.up: is not known here"),
    ],
)
def test_mistakes_in_the_toml(folder, where, section, message):
    with pytest.raises(CorrectionsError) as error:
        load(folder, where, section)
    (line,) = str(error.value).splitlines()
    assert message in line
    assert line.startswith(f"{folder / 'era.toml'}: ")


@pytest.mark.parametrize(
    ("where", "section", "source", "change", "message"),
    [
        (
            "muon_momentum.Muon",
            MUONS,
            "scare.json",
            renamed("m_mc", "rho_stat", "rho"),
            "input 'var' of 'm_mc' has no key 'rho_stat'; did you mean 'stat'",
        ),
        (
            "muon_momentum.Muon",
            MUONS,
            "scare.json",
            replaced("k_mc", "a_mc"),
            "'k_mc' takes eta (real), phi (real), var (string), but that of muonscarekit takes |et",
        ),
        (
            "tau_energy.Tau",
            TAUS,
            "taus.json",
            renamed("tau_energy_scale", "eta", "phi"),
            "the numbers that the energy scale of taus may depend on are pt, eta, abseta, dm",
        ),
    ],
)
def test_files_of_another_interface(folder, tmp_path, where, section, source, change, message):
    energy_payloads.changed(folder / source, tmp_path / source, change)
    with pytest.raises(CorrectionsError) as error:
        load(tmp_path, where, section)
    assert message in str(error.value)


def test_rochester_corrections_apply_to_all_muons(tmp_path):
    path = tmp_path / "RoccoR.txt"
    path.write_text("NSET 1\n")
    with pytest.raises(CorrectionsError, match="apply to all muons; leave min_pt and max_pt out"):
        load(tmp_path, "muon_momentum.Muon", {"file": '"RoccoR.txt"', "max_pt": "200.0"})


def test_values_outside_the_bins_are_shown(folder):
    name = "EGMScale_Compound_Ele_2022preEE"
    compiled = CompiledCorrections(folder / "egamma.json", [name])
    arguments = {"syst": "total", "run": np.ones(3), "ScEta": np.zeros(3), "r9": np.ones(3)}
    arguments |= {"AbsScEta": np.zeros(3), "pt": np.array([30.0, 40.0, 35]), "seedGain": np.ones(3)}
    message = rf"'{name}' has no value at syst = 'total', run in \[1, 1\].*pt in \[30, 40\]"
    with pytest.raises(CorrectionsError, match=message):
        compiled.evaluate(name, arguments)
