"""Ds → μN, N → μπ: the search for a long-lived heavy neutral lepton N.

Candidates are two muons and a pion, which comes with one muon from a displaced vertex. Reads the
``wztree`` of the search. Simulated signal is weighted to further mean decay lengths.
"""

from collections.abc import Iterable
from typing import NamedTuple

import awkward as ak
import numpy as np

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Blind,
    Candidates,
    Categories,
    Condition,
    Cut,
    DatasetMetadata,
    EventFunction,
    Histogram,
    LifetimeWeight,
    MuonWeight,
    PileupWeight,
    Selection,
    TriggerWeight,
    Variable,
    leg_eta,
    leg_pt,
)
from bphcoffea.inputs import PARKING_PATHS, WZTreeSchema
from bphcoffea.physics import constants, doubles, equal_pairs, flattened

MUONS = ("mu_hnl", "mu_ds")
#: Relative resolution of m(μπ) for blinding; simulation has 0.0095 at 1.0 GeV, 0.0089 at 1.5 GeV.
RESOLUTION = 0.0115


class Thresholds(NamedTuple):
    """Values that a candidate of a category must exceed.

    Attributes
    ----------
    flight
        Significance of the transverse distance of N's vertex from the beam spot.
    pion_ip
        Magnitude of the transverse impact parameter of the pion, cm.
    muon_ips
        Significance of the transverse impact parameter of N's muon.
    """

    flight: float
    pion_ip: float
    muon_ips: float


#: Categories: muons of the same (SS) or opposite sign (OS), and bin of the transverse distance, cm.
LXY_EDGES = (0.0, 1.0, 5.0)
WORKING_POINT = {
    "SSlxy0to1": Thresholds(35.3, 0.03, 2.8),
    "SSlxy1to5": Thresholds(107.0, 0.03, 2.6),
    "SSlxy5toInf": Thresholds(191.8, 0.03, 3.0),
    "OSlxy0to1": Thresholds(38.2, 0.05, 3.5),
    "OSlxy1to5": Thresholds(120.5, 0.03, 2.2),
    "OSlxy5toInf": Thresholds(255.0, 0.03, 3.4),
}


def is_signal(metadata: DatasetMetadata) -> bool:
    """Return whether a dataset is simulated signal."""
    return bool(metadata["is_mc"]) and metadata["kind"] == "signal"


def gen_matched(events: ak.Array) -> ak.Array:
    """Return whether each leg of a candidate matches the generated particle."""
    hnl = events.Hnl
    daughters = (hnl.mu_hnl.isHnlDaughter > 0) & (hnl.pi.isHnlDaughter > 0)
    return daughters & (hnl.mu_ds.isHnlBrother > 0)


def triggered(events: ak.Array) -> ak.Array:
    """Return whether one of a candidate's muons fired a path of the parked data."""
    trigger = events.TriggerMuon
    fired = np.zeros(int(ak.sum(ak.num(events.Hnl))), dtype=np.bool_)
    paths = []
    for path in PARKING_PATHS:
        found = trigger[path]
        pt = doubles(found.pt)
        good = (doubles(found.matched) > 0) & (doubles(found.dr) < 0.05) & (pt > 7.5)
        paths.append((pt, good & (abs(doubles(found.eta)) < 1.45)))
    for muon in MUONS:
        candidate, position = equal_pairs(events.Hnl[muon].idx, trigger.idx)
        muon_pt = doubles(events.Hnl[muon].pt)[candidate]
        for pt, good in paths:
            with np.errstate(divide="ignore", invalid="ignore"):  # a momentum of 0 matches nothing
                near = abs(pt[position] - muon_pt) / muon_pt < 0.1
            fired[candidate[good[position] & near]] = True
    return ak.unflatten(fired, ak.num(events.Hnl))


def category(events: ak.Array) -> ak.Array:
    """Return the position of a candidate's category in the working point; -1 for no category."""
    sign = events.Hnl.mu_hnl.charge * events.Hnl.mu_ds.charge
    lxy = events.Hnl.vertex.dist_2d_bs
    bin_of_lxy = sum((lxy >= edge) * 1 for edge in LXY_EDGES[1:])
    position = bin_of_lxy + len(LXY_EDGES) * (sign < 0)
    return ak.where((sign != 0) & (lxy >= LXY_EDGES[0]), position, -1)


def passes_its_category(events: ak.Array) -> ak.Array:
    """Return whether a candidate exceeds the thresholds of its category."""
    positions = flattened(category(events))
    # position -1 takes the last row
    limits = np.array([*WORKING_POINT.values(), (np.inf, np.inf, np.inf)])[positions]
    passed = (
        (doubles(events.Hnl.vertex.sig_2d_bs) > limits[:, 0])
        & (abs(doubles(events.Hnl.pi.BS_ip_xy)) > limits[:, 1])
        & (doubles(events.Hnl.mu_hnl.BS_ips_xy) > limits[:, 2])
    )
    return ak.unflatten(passed, ak.num(events.Hnl))


def proper_length(hnl: ak.Array) -> ak.Array:
    """Return the measured proper decay length, cm; NaN or infinite for a momentum of 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return hnl.vertex.dist_3d_pv * hnl.mass / hnl.p


def of_hnl(name: str, function: EventFunction, label: str, unit: str = "") -> Variable:
    """Return a variable of the candidate."""
    return Variable(name, lambda events: function(events.Hnl), label, unit)


def leg_variable(leg: str, field: str) -> Variable:
    """Return a field of a leg of the candidate as a variable."""
    return Variable(f"{leg}_{field}", lambda events: events.Hnl[leg][field])


mass = of_hnl("hnl_mass", lambda n: n.mass, r"$m(\mu\pi)$", "GeV")
pt = of_hnl("hnl_pt", lambda n: n.pt, "$p_T(N)$", "GeV")
ds_mass = of_hnl("ds_mass", lambda n: n.ds.mass, r"$m(\mu\mu\pi)$", "GeV")
lxy = of_hnl("lxy", lambda n: n.vertex.dist_2d_bs, "$L_{xy}$", "cm")
distance = of_hnl("distance_3d", lambda n: n.vertex.dist_3d_pv, "$L$", "cm")
significance = of_hnl("lxy_significance", lambda n: n.vertex.sig_2d_bs, r"$L_{xy}/\sigma$")
proper = of_hnl("proper_length", proper_length, "$L m/p$", "cm")
generated = of_hnl("gen_proper_length", lambda n: n.gen_l_prop, r"$\ell$", "mm")
probability = of_hnl("vertex_prob", lambda n: n.vertex.prob, "Vertex probability")
charge = of_hnl("hnl_charge", lambda n: n.mu_hnl.charge + n.pi.charge, r"$q(\mu)+q(\pi)$")
soft = [leg_variable(muon, "isSoft") for muon in MUONS]
from_ds_mass = of_hnl(
    "from_ds_mass",
    lambda n: abs(ak.values_astype(n.ds.mass, np.float64) - constants.DS_MASS),
    r"$|m-m_{D_s}|$",
)
momenta = tuple((leg_pt("Hnl", muon), leg_eta("Hnl", muon)) for muon in MUONS)
trigger_inputs = tuple(
    {"pt": leg_pt("Hnl", muon), "ips_xy": leg_variable(muon, "BS_ips_xy")} for muon in MUONS
)


def mean_lengths(generated: float) -> Iterable[float]:
    """Return the other mean decay lengths, mm, that a sample is weighted to."""
    if generated < 100:
        return np.linspace(1.5, 10, 18) * generated
    return np.linspace(1.75, 10, 12) * generated


class HNL(Analysis):
    """Ds → μN, N → μπ."""

    schema = WZTreeSchema
    metadata = ("kind",)
    candidates = Candidates("Hnl", best=from_ds_mass)
    selection = Selection(
        Cut(
            "gen_match",
            Condition(
                "some candidate is generated signal", lambda e: ak.any(gen_matched(e), axis=1)
            ),
            when=is_signal,
        ),
        Cut("trigger", Condition("a muon fired a path of the parked data", triggered)),
        Cut("soft_id", *(variable > 0 for variable in soft)),
        Cut("hnl_charge", charge.equals(0)),
        Cut("category", Condition("passes the cuts of its category", passes_its_category)),
    )
    cuts_on_best = (Cut("gen_best", Condition("is generated signal", gen_matched), when=is_signal),)
    categories = Categories(tuple(WORKING_POINT), Variable("category", category))
    histograms = (
        Histogram("hnl_mass", mass, Axis(40, 0, 2)),
        Histogram("ds_mass", ds_mass, Axis(40, 0, 3)),
        Histogram("hnl_pt", pt, Axis(40, 0, 40)),
        Histogram("distance_3d", distance, Axis(40, 0, 20), log_y=True),
        Histogram("lxy", lxy, Axis(40, 0, 40), log_y=True),
        Histogram("lxy_significance", significance, Axis(50, 0, 1000), log_y=True),
        Histogram("vertex_prob", probability, Axis(50, 0, 1)),
    )
    columns = (mass, ds_mass, pt, lxy, distance, significance, proper)
    weights = (
        PileupWeight(Variable("interactions", lambda events: events.nPU_trueInt)),
        MuonWeight("muon_reconstruction", momenta, after="trigger"),
        TriggerWeight(trigger_inputs, after="trigger"),
        MuonWeight("muon_id", momenta, after="soft_id"),
        LifetimeWeight(generated, mean_lengths, after="gen_best"),
    )
    overlay_signal = True
    blind = Blind("hnl_mass", resolution=RESOLUTION)
    search = "hnl"

    def columns_for(self, metadata: DatasetMetadata) -> tuple[Variable, ...]:
        """Add the generated decay length to the columns of signal."""
        return (*self.columns, generated) if is_signal(metadata) else self.columns
