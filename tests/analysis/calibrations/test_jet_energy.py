"""Jet energies against coffea's own factories, and against analyses of jets shifted by hand."""

import json
import pickle
import sys

import awkward as ak
import numpy as np
import pytest
from coffea.jetmet_tools import (
    CorrectedJetsFactory,
    CorrectedMETFactory,
    CorrectionLibJECStack,
)
from samples import SlimNanoAODSchema

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    Histogram,
    JetEnergy,
    Objects,
    Region,
    Selection,
    Variable,
    each,
    number_of,
    quantity,
    replaced,
)
from bphcoffea.analysis.calibrations.jet_energy import generated_pt
from bphcoffea.analysis.shifts import noise
from bphcoffea.corrections import Corrections, load_corrections
from bphcoffea.errors import CorrectionsError, DeclarationError
from bphcoffea.processing.processor import Processor

pytestmark = pytest.mark.samples

FILE = "jet_jerc_Summer22_V3.json.gz"
TAG, KIND = "Summer22_22Sep2023_V3_MC", "AK4PFPuppi"
LEVELS = [f"{TAG}_{level}_{KIND}" for level in ("L1FastJet", "L2Relative", "L3Absolute")]
SOURCES = ("Total", "FlavorQCD", "Regrouped_BBEC1_2022", "AbsoluteMPFBias")
TOML = f"""
name = "2022"
eras = ["2022*"]

[jet_energy.Jet]
file = "{FILE}"
simulation = "{TAG}_L1L2L3Res_{KIND}"
data = "Summer22_22Sep2023_RunCD_V3_DATA_L1L2L3Res_{KIND}"
resolution = "Summer22_22Sep2023_JRV1_MC_PtResolution_{KIND}"
scale_factor = "Summer22_22Sep2023_JRV1_MC_ScaleFactor_{KIND}"
sources = {{ {", ".join(f'{source} = "{TAG}_{source}_{KIND}"' for source in SOURCES)} }}
"""
#: Name of each variation, in coffea's words.
NAMES = {"jer": "JER"} | {f"jes_{source}": f"JES_{source}" for source in SOURCES}


@pytest.fixture(scope="module")
def corrections(nanoaod, tmp_path_factory):
    return corrections_of(nanoaod, tmp_path_factory.mktemp("corrections"), TOML)


def corrections_of(nanoaod, tmp_path, text):
    path = tmp_path / "2022.toml"
    path.write_text(text.replace(FILE, str(nanoaod / FILE)))
    return load_corrections([path])


@pytest.fixture(scope="module")
def events(slim_tt, open_events):
    opened = open_events(slim_tt, SlimNanoAODSchema, "Events")

    def events(**metadata):
        known = {"dataset": "tt", "is_mc": True, "era": "2022C", "hlt": ()} | metadata
        return ak.with_parameter(opened, "metadata", known)

    return events


def resolved(corrections, **metadata):
    known = {"is_mc": True, "era": "2022C"} | metadata
    return JetEnergy("Jet", met="PuppiMET").resolved(known, corrections.for_era("2022C"))


def by_hand(events, monkeypatch, path, kind="MC", **jets_of):
    """Jets and missing momentum of coffea's factories; only their random numbers are those here."""
    stack = CorrectionLibJECStack.from_file(
        str(path),
        jec_tag="Summer22_22Sep2023_V3" if kind == "MC" else "Summer22_22Sep2023_RunCD_V3",
        data_type=kind,
        jet_type=KIND,
        unc_sources=SOURCES if kind == "MC" else None,
        jer_tag="Summer22_22Sep2023_JRV1" if kind == "MC" else None,
    )
    fields = {name: events.Jet[name] for name in ("pt", "eta", "phi", "mass", "area")}
    jets = ak.zip(fields)
    uncorrected = 1 - events.Jet.rawFactor
    jets["pt_raw"], jets["mass_raw"] = uncorrected * jets.pt, uncorrected * jets.mass
    jets["rho"] = ak.broadcast_arrays(events.Rho.fixedGridRhoFastjetAll, jets.pt)[0]
    if kind == "MC":
        jets["pt_gen"] = generated_pt(events, "Jet")
    names = {
        "JetPt": "pt",
        "JetMass": "mass",
        "JetEta": "eta",
        "JetPhi": "phi",
        "JetA": "area",
        "ptRaw": "pt_raw",
        "massRaw": "mass_raw",
        "Rho": "rho",
        "ptGenJet": "pt_gen",
        "METpt": "pt",
        "METphi": "phi",
        "UnClusteredEnergyDeltaX": "dx",
        "UnClusteredEnergyDeltaY": "dy",
    }
    numbers = ak.flatten(noise(jets))
    module = sys.modules["coffea.jetmet_tools.CorrectedJetsFactory"]
    monkeypatch.setattr(module, "rand_gauss", lambda _: numbers)
    corrected = CorrectedJetsFactory(names, stack).build(jets)
    met = ak.zip({"pt": events.PuppiMET.pt, "phi": events.PuppiMET.phi}, depth_limit=1)
    met["dx"] = met["dy"] = ak.zeros_like(met.pt)
    return corrected, CorrectedMETFactory(names).build(met, corrected)


def same(got, expected):
    assert ak.all(ak.num(got) == ak.num(expected)) if got.ndim > 1 else len(got) == len(expected)
    assert ak.all(got == expected, axis=None)


def test_nominal_jets_and_missing_momentum_are_those_of_coffea(
    events, corrections, monkeypatch, nanoaod
):
    whole = events()
    jets, met = by_hand(whole, monkeypatch, nanoaod / FILE)
    calibrated = resolved(corrections).calibrate(whole)
    same(calibrated.Jet.pt, jets.pt)
    same(calibrated.Jet.mass, jets.mass)
    same(calibrated.Jet.pt_jec, jets.pt_jec)
    same(calibrated.Jet.pt_orig, whole.Jet.pt)
    same(calibrated.PuppiMET.pt, met.pt)
    same(calibrated.PuppiMET.phi, met.phi)
    assert ak.any(calibrated.Jet.pt != whole.Jet.pt)
    assert calibrated.metadata["era"] == "2022C"
    assert ak.count(calibrated.Jet.pt) > 1000


def test_all_variations_are_those_of_coffea(events, corrections, monkeypatch, nanoaod):
    whole = events()
    jets, met = by_hand(whole, monkeypatch, nanoaod / FILE)
    calibration = resolved(corrections)
    variations = calibration.variations({"is_mc": True}, None)
    assert list(variations) == [name + side for name in NAMES for side in ("Up", "Down")]
    calibrated = calibration.calibrate(whole)
    # several at once, as the processor does, and events in another order
    order = np.random.default_rng(3).permutation(len(whole))
    several = calibrated[np.tile(order, len(variations))]
    amounts = [np.repeat(size, len(whole)) for size in zip(*variations.values(), strict=True)]
    moved = calibration.shifted(several, amounts)
    assert set(moved) == set(calibration.paths)
    for number, name in enumerate(variations):
        part = slice(number * len(whole), (number + 1) * len(whole))
        side = "up" if name.endswith("Up") else "down"
        of_coffea = NAMES[name.removesuffix("Up").removesuffix("Down")]
        expected, expected_met = jets[of_coffea][side][order], met[of_coffea][side][order]
        same(moved["Jet", "pt"][part], expected.pt)
        same(moved["Jet", "mass"][part], expected.mass)
        same(moved["PuppiMET", "pt"][part], expected_met.pt)
        same(moved["PuppiMET", "phi"][part], expected_met.phi)
        assert ak.any(expected.pt != jets.pt[order])


def test_data_are_corrected_but_neither_smeared_nor_varied(
    events, corrections, monkeypatch, nanoaod
):
    whole = events(is_mc=False)
    jets, met = by_hand(whole, monkeypatch, nanoaod / FILE, "DATA")
    calibration = resolved(corrections, is_mc=False)
    calibrated = calibration.calibrate(whole)
    same(calibrated.Jet.pt, jets.pt)
    same(calibrated.PuppiMET.phi, met.phi)
    assert calibration.variations({"is_mc": False}, None) == {}


def test_a_list_of_levels_is_the_compound_correction(events, corrections, nanoaod, tmp_path):
    compound = f'"{TAG}_L1L2L3Res_{KIND}"'
    assert compound in TOML
    levels = str([*LEVELS, f"{TAG}_L2L3Residual_{KIND}"])
    listed = corrections_of(nanoaod, tmp_path, TOML.replace(compound, levels))
    one, other = (resolved(c).calibrate(events()) for c in (corrections, listed))
    same(one.Jet.pt, other.Jet.pt)
    same(one.PuppiMET.pt, other.PuppiMET.pt)


def level(name, inputs, **data):
    return {
        "name": name,
        "version": 1,
        "inputs": [{"name": i, "type": "real"} for i in inputs],
        "output": {"name": "factor", "type": "real"},
        "data": {"nodetype": "binning", "flow": "error", **data},
    }


def test_levels_see_the_momentum_after_those_before(events, tmp_path):
    """Each level also has inputs of its own: of the jet, and of the event."""
    doubled = level(
        "doubled", ["JetPt"], input="JetPt", edges=[0.0, 50.0, 9999.0], content=[2.0, 1.0]
    )
    shared = level(
        "shared", ["JetPt"], input="JetPt", edges=[0.0, 50.0, 9999.0], content=[100.0, 3.0]
    )
    later = level(
        "later", ["run", "JetPhi"], input="run", edges=[0.0, 1.0, 9e9], content=[1.0, 5.0]
    )
    content = {"schema_version": 2, "corrections": [doubled, shared, later]}
    (tmp_path / "levels.json").write_text(json.dumps(content))
    toml = tmp_path / "2022.toml"
    toml.write_text(
        'name = "2022"\neras = ["*"]\n[jet_energy.Jet]\nfile = "levels.json"\n'
        'simulation = ["doubled", "shared", "later"]\n'
    )
    whole = events()
    calibrated = resolved(load_corrections([toml])).calibrate(whole)
    raw = (1 - whole.Jet.rawFactor) * whole.Jet.pt
    first = ak.where(raw < 50, 2.0, 1.0)
    second = ak.where(first * raw < 50, 100.0, 3.0)
    run = ak.where(whole.run < 1, 1.0, 5.0)
    same(calibrated.Jet.pt, first * second * run * raw)
    assert resolved(load_corrections([toml])).clamped(calibrated) == {"jet_energy.Jet": 0}
    # a value of their own for all other jets
    doubled["data"].update(edges=[10.0, 50.0, 9999.0], flow=1.0)
    shared["data"].update(edges=[0.0, 50.0, 90.0], flow=1.0)
    (tmp_path / "levels.json").write_text(json.dumps(content))
    calibration = resolved(load_corrections([toml]))
    (clamped,) = calibration.clamped(calibration.calibrate(whole)).values()
    pts = ak.to_numpy(ak.flatten(raw))
    assert clamped == np.count_nonzero(pts < 10) + np.count_nonzero(pts >= 90)
    assert min(np.count_nonzero(pts < 10), np.count_nonzero(pts >= 90)) > 0
    for narrow in (doubled, shared):
        narrow["data"].update(edges=[0.0, 50.0, 9999.0], flow="error")
    content["corrections"][0]["data"]["edges"] = [0, 50, 9999]
    (tmp_path / "levels.json").write_text(json.dumps(content))
    with pytest.raises(CorrectionsError, match=r"cannot read 'doubled' or .* \(Invalid edge"):
        load_corrections([toml])


def test_jets_outside_the_bins_are_reported(events, tmp_path):
    content = level("narrow", ["JetPt"], input="JetPt", edges=[0.0, 50.0], content=[1.0])
    text = json.dumps({"schema_version": 2, "corrections": [content]})
    (tmp_path / "narrow.json").write_text(text)
    toml = tmp_path / "2022.toml"
    toml.write_text(
        'name = "2022"\neras = ["*"]\n[jet_energy.Jet]\nfile = "narrow.json"\n'
        'simulation = "narrow"\n'
    )
    with pytest.raises(CorrectionsError, match="cannot evaluate a correction of jets at JetPt in"):
        resolved(load_corrections([toml])).calibrate(events())


def test_jets_that_nanoaod_does_not_have():
    with pytest.raises(DeclarationError, match="'Jets' is not a collection of jets of NanoAOD"):
        JetEnergy("Jets")
    with pytest.raises(DeclarationError, match="'F' is not"):
        JetEnergy("Jet", together_with="FatJet")


def test_smearing_does_not_depend_on_the_chunk(events, corrections):
    whole = resolved(corrections).calibrate(events())
    part = resolved(corrections).calibrate(events()[50:120])
    same(whole.Jet.pt[50:120], part.Jet.pt)
    same(whole.PuppiMET.pt[50:120], part.PuppiMET.pt)


def test_generated_jets_are_near(events):
    whole = events()
    found = generated_pt(whole, "Jet")
    jets = ak.to_list(ak.zip({name: whole.Jet[name] for name in ("eta", "phi", "genJetIdx")}))
    generated = ak.to_list(ak.zip({name: whole.GenJet[name] for name in ("pt", "eta", "phi")}))
    for event, momenta in enumerate(ak.to_list(found)):
        for jet, momentum in zip(jets[event], momenta, strict=True):
            expected = 0.0
            if 0 <= jet["genJetIdx"] < len(generated[event]):
                other = generated[event][jet["genJetIdx"]]
                dphi = (jet["phi"] - other["phi"] + np.pi) % (2 * np.pi) - np.pi
                if np.hypot(dphi, jet["eta"] - other["eta"]) < 0.2:
                    expected = other["pt"]
            assert momentum == expected
    assert 0.5 < ak.mean(found > 0) < 1


def test_without_levels_energies_of_the_file_are_kept(events, nanoaod, tmp_path):
    lines = [line for line in TOML.splitlines() if line.split(" ")[0] not in ("simulation", "data")]
    unsmeared = [line for line in lines if line.split(" ")[0] not in ("resolution", "scale_factor")]
    calibration = resolved(corrections_of(nanoaod, tmp_path, "\n".join(unsmeared)))
    whole = events()
    calibrated = calibration.calibrate(whole)
    same(calibrated.Jet.pt, whole.Jet.pt)
    same(calibrated.PuppiMET.pt, whole.PuppiMET.pt)
    assert "jerUp" not in calibration.variations({"is_mc": True}, None)
    smeared = resolved(corrections_of(nanoaod, tmp_path, "\n".join(lines))).calibrate(whole)
    same(smeared.Jet.pt_jec, whole.Jet.pt)
    assert ak.any(smeared.Jet.pt != whole.Jet.pt)


def test_some_uncertainties_are_decorrelated(nanoaod, tmp_path):
    text = TOML.replace("sources = ", 'decorrelated = ["jer", "FlavorQCD"]\nsources = ')
    calibration = resolved(corrections_of(nanoaod, tmp_path, text))
    assert calibration.sources == (
        "jer_2022",
        "jes_Total",
        "jes_FlavorQCD_2022",
        *("jes_Regrouped_BBEC1_2022", "jes_AbsoluteMPFBias"),
    )


pt, eta = quantity("pt", unit="GeV"), quantity("eta")
met = Variable("met", lambda e: e.PuppiMET.pt, unit="GeV", axis=Axis(50, 0, 500))
ht = Variable("ht", lambda e: ak.sum(e.jet.pt, axis=1), unit="GeV")
plain = Variable("leptons", lambda e: ak.num(e.Muon) + ak.num(e.Electron))


class Jets(Analysis):
    """Events with two jets and missing momentum."""

    schema = SlimNanoAODSchema
    calibrations = (JetEnergy("Jet", met="PuppiMET"),)
    objects = (Objects("jet", "Jet", (pt > 40, eta.magnitude() < 2.4)),)
    selection = Selection(
        Cut("leptons", plain >= 1), Cut("jets", number_of("jet") >= 2), Cut("met", met > 40)
    )
    regions = (Region("many", number_of("jet") >= 5), Region("hard", ht > 400))
    histograms = (
        Histogram("met", met, Axis(200, 0, 500)),
        Histogram("ht", ht, Axis(200, 0, 1000)),
        Histogram("jet_pt", each("jet", pt), Axis(200, 0, 500)),
    )


class Uncalibrated(Jets):
    calibrations = ()


@pytest.mark.parametrize("first", ["as stored", "without jets", "all without jets"])
def test_variations_are_analyses_of_events_shifted_by_hand(events, corrections, first):
    def chosen():
        whole = events()
        kept = {"as stored": 0, "without jets": 3, "all without jets": len(whole)}[first]
        jets = whole.Jet[(whole.Jet.pt > 0) & (np.arange(len(whole)) >= kept)]
        return ak.with_field(whole, jets, "Jet")

    (result,) = Processor(Jets().corrected(corrections)).process(chosen()).values()
    calibration = resolved(corrections)
    varied = {"nominal": None} | calibration.variations({"is_mc": True}, None)
    assert len(varied) == 11
    calibrated = calibration.calibrate(chosen())
    compared = varied if first == "as stored" else ("nominal", "jerUp", "jes_TotalDown")
    for name in compared:
        moved, amounts = calibrated, varied[name]
        if amounts is not None:
            everywhere = [np.full(len(moved), amount) for amount in amounts]
            moved = replaced(moved, calibration.shifted(moved, everywhere))
        (slow,) = Processor(Uncalibrated()).process(moved).values()
        for histogram, contents in result.histograms.items():
            if histogram.startswith("nminus1"):
                continue
            assert list(contents.axes["variation"]) == list(varied)
            for category in ("all", "many", "hard"):
                np.testing.assert_array_equal(
                    contents[category, name, :].view(flow=True),
                    slow.histograms[histogram][category, "nominal", :].view(flow=True),
                )
    if first != "all without jets":
        counts = {name: result.histograms["met"]["all", name, sum].value for name in varied}
        assert min(counts.values()) > 30
        assert counts["jes_TotalUp"] > counts["jes_TotalDown"]


def test_without_corrections_nothing_is_calibrated(events):
    (one,) = Processor(Jets()).process(events()).values()
    (other,) = Processor(Uncalibrated()).process(events()).values()
    assert one.histograms == other.histograms
    assert JetEnergy("Jet").resolved({"is_mc": True}, None) is None


def test_corrections_survive_being_sent_to_a_worker(events, corrections):
    era = corrections.for_era("2022C")
    here = resolved(corrections).calibrate(events())
    sent = pickle.loads(pickle.dumps(era))
    there = resolved(Corrections([sent])).calibrate(events())
    same(here.Jet.pt, there.Jet.pt)
    assert pickle.dumps(era) == pickle.dumps(sent)
    # only what is used is sent
    assert len(pickle.dumps(era)) < 2_000_000
    described = era.describe()["jet_energy"]["Jet"]
    assert list(described["sources"]) == list(SOURCES)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (f"{TAG}_L1L2L3Res", f"{TAG}_L1L2", "no correction 'Summer22_22Sep2023_V3_MC_L1L2_AK4"),
        (f"{TAG}_Total_", f"{TAG}_Toal_", "no correction 'Summer22_22Sep2023_V3_MC_Toal_AK4"),
        ("resolution = ", "# ", "resolution and scale_factor need each other"),
        (
            "sources = ",
            'decorrelated = ["JER"]\nsources = ',
            "no uncertainty 'JER'; did you mean 'jer'",
        ),
        ("sources = ", "source = ", "jet_energy.Jet.source: is not known here"),
        (FILE, "nothing.json", "no such correction file"),
    ],
)
def test_wrong_sections(nanoaod, tmp_path, before, after, message):
    with pytest.raises(CorrectionsError, match=message):
        corrections_of(nanoaod, tmp_path, TOML.replace(before, after))
