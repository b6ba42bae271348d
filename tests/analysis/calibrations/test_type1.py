"""Type-1 missing momentum against coffea's factory, and against a loop over events and jets."""

import dataclasses
import gzip
import math

import awkward as ak
import correctionlib
import numpy as np
import pytest
from coffea.jetmet_tools import CorrectedMETFactory, CorrectionLibJEC
from samples import SlimNanoAODSchema

from bphcoffea.analysis import JetEnergy
from bphcoffea.corrections import load_corrections
from bphcoffea.errors import CorrectionsError, DeclarationError
from bphcoffea.inputs import ReducedNanoAODSchema

pytestmark = pytest.mark.samples

FILE = "jet_jerc_Summer22_V3.json.gz"
TAG, KIND = "Summer22_22Sep2023_V3_MC", "AK4PFPuppi"
# jets of PUPPI need no offset; another level stands for one
NAMES = {
    "simulation": f"{TAG}_L1L2L3Res_{KIND}",
    "simulation_offset": f"{TAG}_L2Relative_{KIND}",
    "resolution": f"Summer22_22Sep2023_JRV1_MC_PtResolution_{KIND}",
    "scale_factor": f"Summer22_22Sep2023_JRV1_MC_ScaleFactor_{KIND}",
}
TOTAL = f"{TAG}_Total_{KIND}"
DATA = f"""
data = "Summer22_22Sep2023_RunCD_V3_DATA_L1L2L3Res_{KIND}"
data_offset = "Summer22_22Sep2023_RunCD_V3_DATA_L2Relative_{KIND}"
"""
DECLARED = JetEnergy("Jet", met="PuppiMET", type1=True)
# coffea holds the factors in single precision
SINGLE = 1e-6


def corrections_of(nanoaod, folder, names, more=DATA):
    path = folder / "2022.toml"
    lines = "\n".join(f'{key} = "{name}"' for key, name in names.items())
    path.write_text(
        f'name = "2022"\neras = ["*"]\n[jet_energy.Jet]\nfile = "{nanoaod / FILE}"\n{lines}\n'
        f'{more}\nsources = {{ Total = "{TOTAL}" }}\n'
    )
    return load_corrections([path]).for_era("2022C")


@pytest.fixture(scope="module")
def corrections(nanoaod, tmp_path_factory):
    return corrections_of(nanoaod, tmp_path_factory.mktemp("corrections"), NAMES)


@pytest.fixture(scope="module")
def events(slim_tt, open_events):
    whole = open_events(slim_tt, SlimNanoAODSchema, "Events")
    # some events have no jets, and some muons take a large part of a jet
    rng = np.random.default_rng(16)
    for name in ("Jet", "CorrT1METJet"):
        jets = whole[name]
        jets = jets[(jets.pt > 0) & (np.arange(len(whole)) >= 4)]
        count = int(ak.sum(ak.num(jets)))
        for field, values in {
            "muonSubtrFactor": rng.choice([0.0, 0.3, 0.9], count),
            "muonSubtrDeltaPhi": rng.normal(0, 0.1, count),
        }.items():
            jets = ak.with_field(jets, ak.unflatten(values, ak.num(jets)), field)
        if name == "CorrT1METJet":  # as stored, hardly any is above the threshold
            jets = ak.with_field(jets, 2 * jets.rawPt, "rawPt")
        whole = ak.with_field(whole, jets, name)
    return whole


@pytest.fixture(scope="module")
def compiled(nanoaod):
    with gzip.open(nanoaod / FILE, "rt") as file:
        return correctionlib.CorrectionSet.from_string(file.read())


def correction(compiled, name):
    return compiled.compound[name] if name in compiled.compound else compiled[name]


def resolved(corrections, *, is_mc=True):
    return DECLARED.resolved({"is_mc": is_mc, "era": "2022C"}, corrections)


def of_coffea(events, compiled, calibrated, calibration):
    """Return the missing momentum of coffea's factory, for the smearing of the calibrated jets."""
    jets = calibrated.Jet
    fields = ("eta", "phi", "area", "muonSubtrFactor", "muonSubtrDeltaPhi", "chEmEF", "neEmEF")
    given = {name: jets[name] for name in (*fields, "pt", "pt_jec")}
    given["pt_raw"] = (1 - events.Jet.rawFactor) * events.Jet.pt
    given["jet_energy_resolution_correction"] = jets.smearing
    soft = events.CorrT1METJet
    of_soft = ("rawPt", "eta", "phi", "area", "muonSubtrFactor", "muonSubtrDeltaPhi", "EmEF")
    given_soft = {name: soft[name] for name in of_soft}
    density = events.Rho.fixedGridRhoFastjetAll
    given["rho"] = ak.broadcast_arrays(density, jets.pt)[0]
    given_soft["rho"] = ak.broadcast_arrays(density, soft.rawPt)[0]
    given, given_soft = (
        {name: ak.without_parameters(values) for name, values in fields.items()}
        for fields in (given, given_soft)
    )
    jets, soft = ak.zip(given), ak.zip(given_soft)
    for name, source in (("JER", "jer"), ("JES_Total", "jes_Total")):
        sides = {
            side: ak.with_field(
                ak.zip(given),
                calibration.varied(calibrated, source, up=side == "up")["Jet", "pt"],
                "pt",
            )
            for side in ("up", "down")
        }
        jets = ak.with_field(jets, ak.zip(sides), name)
    names = {
        "METpt": "pt",
        "METphi": "phi",
        "JetPt": "pt",
        "JetPhi": "phi",
        "JetEta": "eta",
        "JetA": "area",
        "Rho": "rho",
        "ptRaw": "pt_raw",
        "UnClusteredEnergyDeltaX": "dx",
        "UnClusteredEnergyDeltaY": "dy",
        "RawMETpt": "pt",
        "RawMETphi": "phi",
        "JetMuonSubtrFactor": "muonSubtrFactor",
        "JetMuonSubtrDeltaPhi": "muonSubtrDeltaPhi",
        "JetChEmEF": "chEmEF",
        "JetNeEmEF": "neEmEF",
        "CorrT1JetPt": "rawPt",
        "CorrT1JetPhi": "phi",
        "CorrT1JetEta": "eta",
        "CorrT1JetArea": "area",
        "CorrT1JetEmEF": "EmEF",
        "CorrT1JetMuonSubtrFactor": "muonSubtrFactor",
        "CorrT1JetMuonSubtrDeltaPhi": "muonSubtrDeltaPhi",
    }
    factory = CorrectedMETFactory(
        names,
        jec_L1L2L3=CorrectionLibJEC(correction(compiled, NAMES["simulation"])),
        jec_L1=CorrectionLibJEC(correction(compiled, NAMES["simulation_offset"])),
        jes_uncertainties={"JES_Total": CorrectionLibJEC(correction(compiled, TOTAL))},
        is_t1_smeared_met=True,
    )
    met = ak.zip({"pt": events.PuppiMET.pt, "phi": events.PuppiMET.phi}, depth_limit=1)
    met["dx"] = met["dy"] = ak.zeros_like(met.pt)
    raw = ak.zip({"pt": events.RawPuppiMET.pt, "phi": events.RawPuppiMET.phi}, depth_limit=1)
    return factory.build(met, jets, raw, soft)


def same(pt, phi, expected):
    for axis in (np.cos, np.sin):
        np.testing.assert_allclose(
            ak.to_numpy(pt * axis(phi)),
            ak.to_numpy(expected.pt * axis(expected.phi)),
            rtol=0,
            atol=SINGLE * 1000,  # of the largest momenta, GeV
        )


def test_nominal_and_varied_momenta_are_those_of_coffea(events, corrections, compiled):
    calibration = resolved(corrections)
    calibrated = calibration.calibrate(events)
    expected = of_coffea(events, compiled, calibrated, calibration)
    same(calibrated.PuppiMET.pt, calibrated.PuppiMET.phi, expected)
    assert ak.max(abs(expected.pt - events.PuppiMET.pt)) > 5
    for source, name in (("jer", "JER"), ("jes_Total", "JES_Total")):
        for side in ("up", "down"):
            moved = calibration.varied(calibrated, source, up=side == "up")
            pt = moved["PuppiMET", "pt"]
            same(pt, moved["PuppiMET", "phi"], expected[name][side])
            assert ak.max(abs(pt - calibrated.PuppiMET.pt)) > 1


def loop(event, evaluate, smearing):
    """Return the components of the missing momentum of an event."""
    raw = event["RawPuppiMET"]
    x, y = raw["pt"] * math.cos(raw["phi"]), raw["pt"] * math.sin(raw["phi"])
    jets = [(j, (1 - j["rawFactor"]) * j["pt"], j["chEmEF"] + j["neEmEF"]) for j in event["Jet"]]
    soft = [(j, j["rawPt"], j["EmEF"]) for j in event["CorrT1METJet"]]
    factors = [*smearing, *(1.0 for _ in soft)]
    for (jet, pt, electromagnetic), factor in zip(jets + soft, factors, strict=True):
        muons = pt * jet["muonSubtrFactor"]
        full = evaluate("full", jet, pt, event) * (pt - muons)
        offset = evaluate("offset", jet, pt, event) * (pt - muons)
        if full > 15 and abs(jet["eta"]) < 5.2 and electromagnetic < 0.9:
            change = factor * (full + muons) - (offset + muons)
            x -= change * math.cos(jet["phi"] + jet["muonSubtrDeltaPhi"])
            y -= change * math.sin(jet["phi"] + jet["muonSubtrDeltaPhi"])
    return x, y


@pytest.mark.parametrize("is_mc", [True, False])
def test_momenta_are_those_of_a_loop(events, corrections, compiled, is_mc):
    names = {"full": NAMES["simulation"], "offset": NAMES["simulation_offset"]}
    if not is_mc:
        names = {key: name.replace("V3_MC", "RunCD_V3_DATA") for key, name in names.items()}
    calibrated = resolved(corrections, is_mc=is_mc).calibrate(events)

    def evaluate(name, jet, pt, event):
        found = correction(compiled, names[name])
        inputs = {
            "JetA": jet["area"],
            "JetEta": jet["eta"],
            "JetPhi": jet["phi"],
            "JetPt": pt,
            "Rho": event["Rho"]["fixedGridRhoFastjetAll"],
            "run": float(event["run"]),
        }
        return found.evaluate(*(inputs[variable.name] for variable in found.inputs))

    of_both = ("eta", "phi", "area", "muonSubtrFactor", "muonSubtrDeltaPhi")
    content = {
        "Jet": ak.zip(
            {n: events.Jet[n] for n in (*of_both, "pt", "rawFactor", "chEmEF", "neEmEF")}
        ),
        "CorrT1METJet": ak.zip({n: events.CorrT1METJet[n] for n in (*of_both, "rawPt", "EmEF")}),
        "RawPuppiMET": ak.zip({n: events.RawPuppiMET[n] for n in ("pt", "phi")}),
        "Rho": ak.zip({"fixedGridRhoFastjetAll": events.Rho.fixedGridRhoFastjetAll}),
        "run": events.run,
    }
    smearing = ak.to_list(calibrated.Jet.smearing)
    met = calibrated.PuppiMET
    x, y = (ak.to_numpy(met.pt * axis(met.phi)) for axis in (np.cos, np.sin))
    for number, event in enumerate(ak.to_list(ak.zip(content, depth_limit=1))):
        expected = loop(event, evaluate, smearing[number])
        assert (x[number], y[number]) == pytest.approx(expected, abs=1e-3)
    assert is_mc == ak.any(calibrated.Jet.smearing != 1)
    used = calibrated.CorrT1METJet.type1.used
    assert 0.1 < ak.mean(used) < 0.9


def test_old_files_have_fewer_fields(nanoaod, open_events, corrections):
    """NanoAOD v9 has neither the directions without muons nor electromagnetic soft jets."""
    old = open_events(nanoaod / "nano_dy.root", ReducedNanoAODSchema, "Events")
    declared = dataclasses.replace(DECLARED, met="MET")
    calibration = declared.resolved({"is_mc": True, "era": "2022C"}, corrections)
    met = calibration.calibrate(old).MET
    assert np.all(np.isfinite(met.pt))
    assert ak.any(met.pt != old.RawMET.pt)


def test_without_jets_the_momentum_is_raw(events, corrections):
    calibrated = resolved(corrections).calibrate(events[:4])
    np.testing.assert_allclose(calibrated.PuppiMET.pt, events.RawPuppiMET.pt[:4], rtol=1e-6)
    assert ak.all(calibrated.PuppiMET.pt_orig == events.PuppiMET.pt[:4])


def test_what_type1_needs(events, corrections, nanoaod, tmp_path):
    with pytest.raises(DeclarationError, match="type1 corrects the missing momentum by the jets"):
        JetEnergy("FatJet", met="PuppiMET", type1=True)
    with pytest.raises(DeclarationError, match="type1 corrects"):
        JetEnergy("Jet", type1=True)
    kept = {key: name for key, name in NAMES.items() if not key.startswith("simulation")}
    with pytest.raises(CorrectionsError, match="needs the corrections of jets, 'simulation'"):
        resolved(corrections_of(nanoaod, tmp_path, kept))
    without = ak.without_field(events, "RawPuppiMET")
    with pytest.raises(CorrectionsError, match="the input has no 'RawPuppiMET', from which"):
        resolved(corrections).calibrate(without)
