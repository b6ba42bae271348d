"""Z → μμ of NanoAOD: events with two isolated muons of opposite charge, and jets beside them."""

from collections.abc import Callable

import awkward as ak
import numpy as np

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    Histogram,
    MuonMomentum,
    Objects,
    ObjectWeight,
    OptionalVariable,
    PathFired,
    PileupWeight,
    Region,
    Selection,
    Variable,
    each,
    filters_passed,
    flag,
    nth,
    number_of,
    quantity,
)
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.physics import constants, invariant_mass

#: Working point "medium" of the DeepJet tagger for 2018 [CMS, BTV: UL2018].
BTAG_MEDIUM = 0.2783
FILTERS = (
    "goodVertices",
    "globalSuperTightHalo2016Filter",
    "HBHENoiseFilter",
    "HBHENoiseIsoFilter",
    "EcalDeadCellTriggerPrimitiveFilter",
    "BadPFMuonFilter",
)

pt = quantity("pt", "$p_T$", "GeV", Axis(50, 0, 200))
eta = quantity("eta", r"$\eta$", axis=Axis(48, -2.4, 2.4))
phi = quantity("phi", r"$\phi$", axis=Axis(32, -3.2, 3.2))
btag = quantity("btag", "DeepJet score", axis=Axis(50, 0, 1), field="btagDeepFlavB")
abs_eta = eta.magnitude()
muon_isolation = quantity("isolation", field="pfRelIso04_all")
jet_id = quantity("jet_id", field="jetId")
pileup_id = quantity("pileup_id", field="puId")
supercluster_eta = Variable("abs_sc_eta", lambda e: abs(e.eta + e.deltaEtaSC))
in_gap = supercluster_eta.between(1.4442, 1.566)

electron_id = (quantity("isolation", field="pfRelIso03_all") < 0.06, flag("mvaFall17V2Iso_WP80"))
vertices = Variable("good_vertices", lambda e: e.PV.npvsGood)
hardest_muon = Variable("hardest_muon", lambda e: ak.fill_none(ak.max(e.Muon.pt, axis=1), 0.0))
muons, jets = number_of("muon", "Number of muons"), number_of("jet", "Number of jets")
electrons, bjets = number_of("electron", "Number of electrons"), number_of("bjet", "b jets")
leading_pt = nth("muon", 1, pt, r"$p_T(\mu_1)$")


def of_pair(function: Callable[[ak.Array, ak.Array], ak.Array], events: ak.Array) -> ak.Array:
    """Return a function of the two hardest muons of each event; NaN without two."""
    muons = ak.pad_none(events.muon, 2)
    return ak.fill_none(function(muons[:, 0], muons[:, 1]), np.nan)


charge = OptionalVariable("charge", lambda e: of_pair(lambda a, b: a.charge + b.charge, e))
mass = OptionalVariable(
    "mass", lambda e: of_pair(invariant_mass, e), r"$m(\mu\mu)$", "GeV", Axis(100, 0, 200)
)


class ZMuMu(Analysis):
    """Z → μμ."""

    schema = ReducedNanoAODSchema
    calibrations = (MuonMomentum("Muon"),)
    objects = (
        Objects("muon", "Muon", (pt > 15, abs_eta < 2.4, flag("tightId"), muon_isolation < 0.25)),
        Objects("electron", "Electron", (pt > 15, abs_eta < 2.4, ~in_gap, *electron_id)),
        Objects(
            "jet",
            "Jet",
            (pt > 30, abs_eta < 2.4, jet_id >= 2, (pileup_id >= 4) | (pt >= 50)),
            away_from={"muon": 0.4, "electron": 0.4},
        ),
        Objects("bjet", "jet", (btag > BTAG_MEDIUM,)),
    )
    selection = Selection(
        Cut("vertex", vertices >= 1),
        Cut("filters", filters_passed(*FILTERS)),
        Cut(
            "filters_of_data",
            filters_passed("eeBadScFilter"),
            when=lambda of: not of["is_mc"],
        ),
        Cut("trigger", PathFired("IsoMu24")),
        Cut("muon", hardest_muon > 18),
        Cut("two_muons", muons.equals(2)),
        Cut("no_electron", electrons.equals(0)),
        Cut("leading_muon", leading_pt > 25),
        Cut("opposite_charge", charge.equals(0)),
        Cut("mass", mass.between(25, 2000)),
    )
    regions = (
        Region("z", mass.between(76, 106)),
        Region("no_jet", jets.equals(0)),
        Region("jet", jets >= 1),
        Region("b_jet", bjets >= 1),
    )
    histograms = (
        Histogram("m_ll", mass, Axis(100, 0, 200), True, (("Z", constants.Z_MASS),)),
        Histogram("muon1_pt", leading_pt, Axis(50, 0, 200)),
        Histogram("muon1_eta", nth("muon", 1, eta), Axis(48, -2.4, 2.4)),
        Histogram("muon1_phi", nth("muon", 1, phi), Axis(32, -3.2, 3.2)),
        *(
            Histogram(of.name, of, Axis(10, -0.5, 9.5), True)
            for of in (electrons, muons, jets, bjets)
        ),
        *(
            Histogram(f"jet{number}_{of.name}", nth("jet", number, of), of.axis)
            for number in (1, 2)
            for of in (pt, eta, phi, btag)
        ),
        Histogram("jets_pt", each("jet", pt), Axis(50, 0, 200), True),
        Histogram("pt_mass", (leading_pt, mass), (Axis(40, 0, 200), Axis(40, 0, 200))),
    )
    columns = (mass, leading_pt, jets, bjets)
    weights = (
        PileupWeight(),
        ObjectWeight("muon_id", of="muon", after="two_muons"),
        ObjectWeight("muon_isolation", of="muon", after="two_muons"),
    )
