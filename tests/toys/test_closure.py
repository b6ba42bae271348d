"""Simulation of the toy agrees with its data with the weights of its payloads, and only then."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import awkward as ak
import correctionlib
import numpy as np
import pytest
import uproot
from scipy.stats import chi2

from bphcoffea.toys import calibration
from bphcoffea.toys.ds_phipi import DsPhiPiToy
from bphcoffea.toys.ds_phipi.generation import generate
from bphcoffea.toys.ds_phipi.reconstruction import reconstruct_dimuons
from bphcoffea.toys.ds_phipi.samples import DATA_FRACTIONS

BRANCHES = ["Mu01_Pt", "Mu01_Eta", "Mu02_Pt", "Mu02_Eta", "RefittedPV2_NTracks"]
OF_MUONS = ["MuonPt", "Muon_isGlobal", "Muon_isPF"]
#: A p-value that samples of the same distribution miss once in a thousand. The seed is fixed, and
#: so is the outcome.
AGREES = 1e-3
PB_PER_FB = 1e3

BINS = {
    "yield": np.array([-np.inf, np.inf]),
    "pv_tracks": np.array([2, 12, 16, 20, 24, 28, 32, 36, 40, 48, np.inf]),
    "leading_pt": np.array([2, 5, 6, 7, 8, 9, 10, 12, 15, 20, np.inf]),
    "trailing_pt": np.array([2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 10, np.inf]),
    "leading_eta": np.linspace(-2.4, 2.4, 13),
    "trailing_eta": np.linspace(-2.4, 2.4, 13),
}


@dataclass(eq=False)
class Selected:
    """Events whose two muons are in the acceptance: one row each, leading muon first."""

    legs: np.ndarray  # both pT, both η: shape (events, 4)
    identified: np.ndarray  # shape (events, 2)
    pv_tracks: np.ndarray
    interactions: np.ndarray  # -1 in data

    def passing(self) -> "Selected":
        """Return the events whose muons are both global and PF."""
        kept = np.all(self.identified, axis=1)
        columns = (self.legs, self.identified, self.pv_tracks, self.interactions)
        return Selected(*(column[kept] for column in columns))

    def column(self, name: str) -> np.ndarray:
        if name == "yield":
            return np.zeros(len(self.legs))
        if name == "pv_tracks":
            return self.pv_tracks
        return self.legs[:, list(BINS)[2:].index(name)]


def in_acceptance(pt: ak.Array, eta: ak.Array) -> ak.Array:
    eta = abs(eta)
    return ((eta < 1.2) & (pt > 3.5)) | ((eta >= 1.2) & (eta < 2.4) & (pt > 2.0))


def select(path: Path, is_mc: bool) -> Selected:
    """Select the first candidate of each event that is in the acceptance."""
    with uproot.open(path) as file:
        names = [*BRANCHES, *OF_MUONS, *["nPileUpInt"] * is_mc]
        events = file[DsPhiPiToy.tree].arrays(names)
    pt1, eta1, pt2, eta2, tracks = (events[name] for name in BRANCHES)
    inside = in_acceptance(pt1, eta1) & in_acceptance(pt2, eta2)
    good = (pt1 > 0) & (pt2 > 0) & (tracks >= 2) & inside
    events = events[ak.any(good, axis=1)]
    first = ak.argmax(good[ak.any(good, axis=1)], axis=1, keepdims=True)
    chosen = {name: ak.to_numpy(events[name][first][:, 0]) for name in BRANCHES}
    muons = events.MuonPt[(events.Muon_isGlobal == 1) & (events.Muon_isPF == 1)]
    identified = [
        ak.to_numpy(ak.any(muons == chosen[name].astype(np.float32), axis=1))
        for name in ("Mu01_Pt", "Mu02_Pt")
    ]
    return Selected(
        np.stack([chosen[name] for name in ("Mu01_Pt", "Mu02_Pt", "Mu01_Eta", "Mu02_Eta")], axis=1),
        np.stack(identified, axis=1),
        chosen["RefittedPV2_NTracks"],
        ak.to_numpy(events.nPileUpInt) if is_mc else np.full(len(events), -1),
    )


#: Function from selected events to the weight of each.
Weight: TypeAlias = Callable[[Selected], np.ndarray]


@dataclass
class Samples:
    data: list[Selected]
    mc: list[tuple[Selected, float]]  # with luminosity times cross section, for each event made
    folder: Path

    def passing(self) -> "Samples":
        """Return the samples with the events whose muons are both global and PF."""
        mc = [(sample.passing(), normalisation) for sample, normalisation in self.mc]
        return Samples([sample.passing() for sample in self.data], mc, self.folder)

    def p_value(self, name: str, *weights: Weight, shape: bool = False) -> float:
        """Return the p-value of χ² between data and weighted simulation, in bins of a quantity."""
        edges = BINS[name]
        data = np.sum([np.histogram(s.column(name), edges)[0] for s in self.data], axis=0)
        content, variance = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
        for sample, normalisation in self.mc:
            w = np.full(len(sample.legs), normalisation)
            for weight in weights:
                w *= weight(sample)
            content += np.histogram(sample.column(name), edges, weights=w)[0]
            variance += np.histogram(sample.column(name), edges, weights=w**2)[0]
        if shape:
            scale = np.sum(data) / np.sum(content)
            content, variance = content * scale, variance * scale**2
        assert np.all(data > 20)
        freedom = len(data) - shape
        return float(chi2.sf(np.sum((data - content) ** 2 / (data + variance)), freedom))


@pytest.fixture(scope="module")
def accepted(shared_folders) -> Samples:
    folder = shared_folders.toys("ds_phipi", 160_000, 11)
    fileset = json.loads((folder / "fileset.json").read_text(encoding="utf-8"))
    luminosity = sum(entry["metadata"].get("luminosity", 0) for entry in fileset.values())
    data, mc = [], []
    for entry in fileset.values():
        metadata = entry["metadata"]
        for name in entry["files"]:
            selected = select(folder / name, metadata["is_mc"])
            if not metadata["is_mc"]:
                data.append(selected)
                continue
            made = (
                metadata["cross_section"] * metadata["filter_efficiency"] * luminosity * PB_PER_FB
            )
            mc.append((selected, made / metadata["processed_events"]))
    return Samples(data, mc, folder)


@pytest.fixture(scope="module")
def samples(accepted) -> Samples:
    return accepted.passing()


def loaded(folder: Path, file: str, name: str) -> Any:
    return correctionlib.CorrectionSet.from_file(str(folder / file))[name]


def of_muons(correction: Any) -> Weight:
    def weight(sample: Selected) -> np.ndarray:
        pt1, pt2, eta1, eta2 = sample.legs.T
        first = correction.evaluate(eta1, pt1, "nominal")
        return first * correction.evaluate(eta2, pt2, "nominal")

    return functools.cache(weight)


def of_pileup(correction: Any) -> Weight:
    return functools.cache(
        lambda sample: correction.evaluate(sample.interactions.astype(float), "nominal")
    )


@pytest.fixture(scope="module")
def weights(samples) -> dict[str, Weight]:
    folder = samples.folder
    muons = {
        "identification": "NUM_LooseID_DEN_TrackerMuons",
        "reconstruction": "NUM_TrackerMuons_DEN_genTracks",
    }
    return {
        "pileup": of_pileup(loaded(folder, "puWeights.json.gz", "Collisions_toys_goldenJSON")),
        **{k: of_muons(loaded(folder, "muon_JPsi.json.gz", v)) for k, v in muons.items()},
    }


@pytest.mark.parametrize("name", BINS)
def test_weighted_mc_is_data(samples, weights, name):
    assert samples.p_value(name, *weights.values()) > AGREES


@pytest.mark.parametrize("name", BINS)
def test_mc_without_weights_is_not_data(samples, name):
    assert samples.p_value(name) < AGREES


def test_without_pileup_weights_the_pv_tracks_disagree_in_shape(samples, weights):
    muons = weights["identification"], weights["reconstruction"]
    assert samples.p_value("pv_tracks", *muons, shape=True) < AGREES
    assert samples.p_value("pv_tracks", *muons, weights["pileup"], shape=True) > AGREES


@pytest.mark.parametrize("missing", ["pileup", "identification"])
def test_without_one_kind_of_weight_the_yield_disagrees(samples, weights, missing):
    remaining = [weight for name, weight in weights.items() if name != missing]
    assert samples.p_value("yield", *remaining) < AGREES


def test_mc_identifies_more_muons_than_data_by_the_payload(accepted, weights):
    correction = loaded(accepted.folder, "muon_JPsi.json.gz", "NUM_LooseID_DEN_TrackerMuons")
    edges = np.array([-2.4, -2.1, -1.2, -0.9, 0, 0.9, 1.2, 2.1, 2.4])
    # per bin of η: muons, identified ones with and without scale factor, in each leg
    in_data, in_mc = np.zeros((2, len(edges) - 1)), np.zeros((4, len(edges) - 1))
    for sample in accepted.data:
        columns = np.searchsorted(edges, sample.legs[:, 2:].ravel(), "right") - 1
        for row, values in enumerate((None, sample.identified.ravel())):
            in_data[row] += np.bincount(columns, values, len(edges) - 1)
    for sample, normalisation in accepted.mc:
        w = normalisation * weights["pileup"](sample)
        legs, identified = sample.legs, sample.identified
        for leg in (0, 1):
            factor = correction.evaluate(legs[:, 2 + leg], legs[:, leg], "nominal")
            columns = np.searchsorted(edges, legs[:, 2 + leg], "right") - 1
            flag = identified[:, leg]
            for row, values in enumerate((w, w * flag, w * flag * factor, w**2)):
                in_mc[row] += np.bincount(columns, values, len(edges) - 1)
    efficiency = in_data[1] / in_data[0]
    effective = in_mc[0] ** 2 / in_mc[3]
    variance = efficiency * (1 - efficiency) * (1 / in_data[0] + 1 / effective)
    bare, corrected = (np.sum((in_mc[i] / in_mc[0] - efficiency) ** 2 / variance) for i in (1, 2))
    assert chi2.sf(corrected, len(efficiency)) > AGREES
    assert chi2.sf(bare, len(efficiency)) < AGREES


def test_pileup_takes_muons(samples):
    """Simulation has fewer identified muons than with the pile-up of data."""
    lost = []
    for is_mc in (False, True):
        n = calibration.draw_interactions(100_000, is_mc, np.random.default_rng(1))
        pt = np.full(len(n), 7.0)
        efficiency = calibration.identification_efficiency(pt / 5, pt, n, is_mc=True)
        assert np.all((efficiency > 0) & (efficiency <= 1))
        lost.append(1 - np.mean(efficiency**2))
    assert lost[1] - lost[0] > 0.02


def test_data_lose_the_dimuons_that_the_payload_says(samples):
    correction = loaded(samples.folder, "muon_JPsi.json.gz", "NUM_TrackerMuons_DEN_genTracks")
    n = 200_000
    rng = np.random.default_rng(21)
    species = rng.choice(np.array(list(DATA_FRACTIONS)), n, p=list(DATA_FRACTIONS.values()))
    decays = generate(species, rng)
    # the same random numbers are drawn: what MC has and data have not was lost by the factors
    in_mc, in_data = (
        reconstruct_dimuons(decays, m, np.random.default_rng(3)) for m in (True, False)
    )
    assert np.all(np.isin(in_data.event, in_mc.event))
    half = len(in_mc.event)
    eta, pt = in_mc.measured.eta.reshape(2, half), in_mc.measured.pt.reshape(2, half)
    inside = np.all((abs(eta) < 2.4) & (pt > 2.0), axis=0)
    expected = np.prod(
        [correction.evaluate(eta[leg, inside], pt[leg, inside], "nominal") for leg in (0, 1)],
        axis=0,
    )
    kept = np.isin(in_mc.event[inside], in_data.event)
    for edges, values in (
        (np.linspace(-2.4, 2.4, 13), eta[0, inside]),
        (np.array([2, 2.5, 3.5, 5, 8, 12, 200]), pt[1, inside]),
    ):
        bins = np.digitize(values, edges)
        pulls = [
            np.sum((kept - expected)[bins == i])
            / np.sqrt(np.sum((expected * (1 - expected))[bins == i]))
            for i in range(1, len(edges))
        ]
        assert chi2.sf(np.sum(np.square(pulls)), len(pulls)) > AGREES
    assert 1 - np.mean(kept) > 0.015


def test_efficiencies_of_data_are_about_those_before(samples):
    """Muons of candidates are global with 0.96 and PF with 0.97."""
    flags: dict[str, list[float]] = {"Muon_isGlobal": [], "Muon_isPF": []}
    for part in (0, 1):
        with uproot.open(samples.folder / f"toy_2017_{part}.root") as file:
            arrays = file[DsPhiPiToy.tree].arrays(list(flags))
        for name, values in flags.items():
            values.extend(value for event in arrays[name].tolist() for value in event)
    assert np.mean(flags["Muon_isGlobal"]) == pytest.approx(0.96, abs=0.01)
    assert np.mean(flags["Muon_isPF"]) == pytest.approx(0.97, abs=0.01)


def test_weights_turn_the_pileup_of_mc_into_that_of_data(samples, weights):
    numbers = []
    for part in (0, 1):
        with uproot.open(samples.folder / f"toy_phi_track_mc_{part}.root") as file:
            numbers += file[DsPhiPiToy.tree].arrays(["nPileUpInt"]).nPileUpInt.tolist()
    none = np.zeros(0)
    w = weights["pileup"](Selected(none, none, none, np.array(numbers)))
    error = np.std(numbers) * np.max(w) / np.sqrt(len(numbers))
    assert np.mean(numbers) == pytest.approx(38.2, abs=5 * error)
    assert np.average(numbers, weights=w) == pytest.approx(32.1, abs=5 * error)
    assert np.mean(w) == pytest.approx(1, abs=5 * np.std(w) / np.sqrt(len(w)))
    assert np.max(w) < 5
