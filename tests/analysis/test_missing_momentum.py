"""Missing momentum that several calibrations change, against sums of vectors by hand."""

import functools

import awkward as ak
import energy_payloads
import numpy as np
import pytest
import uproot
from coffea.jetmet_tools import CorrectedMETFactory
from samples import SlimNanoAODSchema

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    Histogram,
    JetEnergy,
    MuonMomentum,
    Selection,
    UnclusteredEnergy,
    Variable,
)
from bphcoffea.corrections import load_corrections
from bphcoffea.errors import CorrectionsError
from bphcoffea.inputs import form_of
from bphcoffea.processing.processor import Processor
from bphcoffea.processing.tracing import branch_needs

pytestmark = pytest.mark.samples

FILE = "jet_jerc_Summer22_V3.json.gz"
TAG, KIND = "Summer22_22Sep2023_V3_MC", "AK4PFPuppi"
TOML = f"""
name = "2022"
eras = ["2022*"]

[jet_energy.Jet]
file = "FOLDER/{FILE}"
simulation = "{TAG}_L1L2L3Res_{KIND}"
sources = {{ Total = "{TAG}_Total_{KIND}" }}

[muon_momentum.Muon]
file = "scare.json"
min_pt = 3.0

[unclustered_energy.PuppiMET]
[unclustered_energy.MET]
"""
KNOWN = {"dataset": "tt", "is_mc": True, "era": "2022C", "hlt": ()}
JETS, MUONS = JetEnergy("Jet", met="PuppiMET"), MuonMomentum("Muon", met="PuppiMET")
UNCLUSTERED = UnclusteredEnergy("PuppiMET")
OF = {JETS: "jes", MUONS: "muon"}
NAMES = ("jes_Total", "muon_scale", "muon_resolution", "unclustered")


@pytest.fixture(scope="module")
def corrections(nanoaod, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corrections")
    energy_payloads.scare(folder / "scare.json")
    path = folder / "2022.toml"
    path.write_text(TOML.replace("FOLDER", str(nanoaod)))
    return load_corrections([path])


@pytest.fixture(scope="module")
def events(slim_tt, open_events):
    whole = open_events(slim_tt, SlimNanoAODSchema, "Events", **KNOWN)
    # the first events have neither jets nor muons
    later = np.arange(len(whole)) >= 5
    for name in ("Jet", "Muon"):
        whole = ak.with_field(whole, whole[name][(whole[name].pt > 0) & later], name)
    return ak.with_parameter(whole, "metadata", KNOWN)


met, phi, jet_ht, muon_ht = (
    Variable("met", lambda e: e.PuppiMET.pt),
    Variable("phi", lambda e: e.PuppiMET.phi),
    Variable("jet_ht", lambda e: ak.sum(e.Jet.pt, axis=1)),
    Variable("muon_ht", lambda e: ak.sum(e.Muon.pt, axis=1)),
)


class Momenta(Analysis):
    """Sums of momenta, in bins so narrow that few events share one."""

    schema = SlimNanoAODSchema
    calibrations = (JETS, MUONS, UNCLUSTERED)
    selection = Selection(Cut("met", met > 15))
    histograms = (
        Histogram("met", met, Axis(4000, 0, 400)),
        Histogram("phi", phi, Axis(4000, -3.2, 3.2)),
        Histogram("jets", jet_ht, Axis(4000, 0, 2000)),
        Histogram("muons", muon_ht, Axis(4000, 0, 400)),
    )


class Backwards(Momenta):
    calibrations = (UNCLUSTERED, MUONS, JETS)


class Uncalibrated(Momenta):
    calibrations = ()


@pytest.fixture(scope="module")
def shifted_alone(events, corrections):
    """The momenta that one calibration gives if there is no other, in a variation or without."""

    @functools.cache
    def shifted_alone(calibration, variation):
        resolved = calibration.resolved(KNOWN, corrections.for_era("2022C"))
        calibrated = resolved.calibrate(events)
        if not variation:
            return calibrated[calibration.collection].pt
        source, up = variation.removesuffix("Up").removesuffix("Down"), variation.endswith("Up")
        return resolved.varied(calibrated, source, up=up)[calibration.collection, "pt"]

    return shifted_alone


@pytest.mark.parametrize("analysis", [Momenta, Backwards])
def test_changes_of_several_calibrations_add_up(events, corrections, shifted_alone, analysis):
    """A variation of one calibration leaves the nominal changes of all others."""
    corrected = analysis().corrected(corrections)
    (result,) = Processor(corrected).process(events).values()
    order = [c for c in analysis.calibrations if c is not UNCLUSTERED]
    names = ["nominal", *(name + side for name in NAMES for side in ("Up", "Down"))]
    assert sorted(result.histograms["met"].axes["variation"]) == sorted(names)
    met = events.PuppiMET
    for name in names:
        moved = events
        x, y = met.pt * np.cos(met.phi), met.pt * np.sin(met.phi)
        for calibration in order:
            pt = shifted_alone(calibration, name if name.startswith(OF[calibration]) else "")
            before = events[calibration.collection]
            x = x - ak.sum((pt - before.pt) * np.cos(before.phi), axis=1)
            y = y - ak.sum((pt - before.pt) * np.sin(before.phi), axis=1)
            moved = ak.with_field(moved, pt, [calibration.collection, "pt"])
        if name.startswith("unclustered"):
            side = name.removeprefix("unclustered")
            pt, angle = met[f"ptUnclustered{side}"], met[f"phiUnclustered{side}"]
            x = x + (pt * np.cos(angle) - met.pt * np.cos(met.phi))
            y = y + (pt * np.sin(angle) - met.pt * np.sin(met.phi))
        moved = ak.with_field(moved, np.hypot(x, y), ["PuppiMET", "pt"])
        moved = ak.with_field(moved, np.arctan2(y, x), ["PuppiMET", "phi"])
        (slow,) = Processor(Uncalibrated()).process(moved).values()
        for histogram, contents in result.histograms.items():
            np.testing.assert_array_equal(
                contents["all", name, :].view(flow=True),
                slow.histograms[histogram]["all", "nominal", :].view(flow=True),
            )
    counts = {name: tuple(result.histograms["met"]["all", name, :].values()) for name in names}
    assert len(set(counts.values())) == len(names)


def test_unclustered_energy_is_that_of_coffea(events, corrections):
    """NanoAOD stores components of the difference for one kind of missing momentum."""
    rng = np.random.default_rng(1)
    fields = {"pt": events.PuppiMET.pt, "phi": events.PuppiMET.phi}
    for name in ("MetUnclustEnUpDeltaX", "MetUnclustEnUpDeltaY"):
        fields[name] = ak.Array(rng.normal(0, 5, len(events)).astype(np.float32))
    whole = ak.with_field(events, ak.zip(fields), "MET")
    era = corrections.for_era("2022C")
    calibrated = JetEnergy("Jet", met="MET").resolved(KNOWN, era).calibrate(whole)
    unclustered = UnclusteredEnergy("MET").resolved(KNOWN, era)
    calibrated = unclustered.calibrate(calibrated)
    names = {name: name for name in ("JetPt", "ptRaw")}
    names |= {"METpt": "pt", "METphi": "phi", "JetPt": "pt", "JetPhi": "phi"}
    names |= {f"UnClusteredEnergyDelta{c}": f"MetUnclustEnUpDelta{c}" for c in "XY"}
    jets = ak.zip({name: calibrated.Jet[name] for name in ("pt", "phi", "pt_orig")})
    expected = CorrectedMETFactory(names).build(whole.MET, jets).MET_UnclusteredEnergy
    for up, side in ((True, "up"), (False, "down")):
        moved = unclustered.varied(calibrated, "unclustered", up=up)
        for field in ("pt", "phi"):
            assert ak.to_list(moved["MET", field]) == ak.to_list(expected[side][field])


def test_unclustered_energy_is_varied_in_simulation_if_the_corrections_say_so(
    corrections, tmp_path
):
    era = corrections.for_era("2022C")
    assert UNCLUSTERED.resolved({**KNOWN, "is_mc": False}, era) is None
    assert UNCLUSTERED.resolved(KNOWN, None) is None
    assert UnclusteredEnergy("PFMET").resolved(KNOWN, era) is None
    path = tmp_path / "2022.toml"
    section = "[unclustered_energy.PuppiMET]\ndecorrelated = true\n"
    path.write_text(f'name = "2022"\neras = ["*"]\n{section}')
    decorrelated = UNCLUSTERED.resolved(KNOWN, load_corrections([path]).for_era("2022C"))
    assert list(decorrelated.variations(KNOWN, None)) == [
        "unclustered_2022Up",
        "unclustered_2022Down",
    ]


def test_files_without_the_unclustered_energy(events, corrections):
    calibration = UNCLUSTERED.resolved(KNOWN, corrections.for_era("2022C"))
    plain = ak.without_field(events.PuppiMET, "ptUnclusteredUp")
    message = r"\[unclustered_energy\.PuppiMET\]: 'PuppiMET' of the input has no field 'ptUncl"
    with pytest.raises(CorrectionsError, match=message):
        calibration.calibrate(ak.with_field(events, plain, "PuppiMET"))


def test_branches_of_variations_are_found_out(corrections, slim_tt):
    """A run looks for them on an event without objects, which does not pass the cuts."""

    class Strict(Momenta):
        calibrations = (UNCLUSTERED,)
        selection = Selection(Cut("jets", jet_ht > 50))

    with uproot.open(slim_tt) as file:
        forms = dict.fromkeys(("simulation", "data"), form_of(file, "Events"))
    datasets = {"simulation": KNOWN, "data": {**KNOWN, "is_mc": False}}
    needs = branch_needs(Strict().corrected(corrections), datasets, forms)
    names = [f"PuppiMET_{of}Unclustered{side}" for of in ("phi", "pt") for side in ("Down", "Up")]
    found = set(needs["simulation"].required) - set(needs["data"].required)
    assert found == set(names)


def test_empty_chunks(events, corrections):
    whole, none = (
        Processor(Momenta().corrected(corrections)).process(chunk).popitem()[1]
        for chunk in (events, events[:0])
    )
    assert (none + whole).histograms == whole.histograms
