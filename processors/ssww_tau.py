"""Scattering of W bosons of the same charge to a lepton and a hadronic τ, of NanoAOD v9.

The cuts are those of JHEP 10 (2025) 219. Where their list is silent, the following is a reading,
close to the public code of the authors (github.com/ttedeschi/RDF-VBS_SSWW_lep_tauh):

- A loose muon has pT > 10 GeV, |η| < 2.4, ``looseId`` and an isolation below 0.4, a loose electron
  pT > 15 GeV and the loose working point. Events with a second loose lepton are vetoed.
- The muon meets ``tightId``. The lepton has ΔR ≥ 0.4 to the jets of the VBS pair, as the τ has,
  because electrons are also jets. There is exactly one τ.
- Each control region inverts one requirement of the signal region.
- HLT_Ele27_WPTight_Gsf replaces HLT_Ele35_WPTight_Gsf in 2016, when that did not exist.
"""

import awkward as ak
import hist
import numpy as np

from bphcoffea.analysis import (
    Analysis,
    Condition,
    Cut,
    Histogram,
    JetEnergy,
    Objects,
    ObjectWeight,
    OptionalVariable,
    PathFired,
    PileupWeight,
    Region,
    Selection,
    Variable,
    crossed,
    flag,
    nth,
    number_of,
    quantity,
)
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.physics import four_momentum, invariant_mass

MJJ_EDGES = hist.axis.Variable([500, 700, 1000, 1500, 2500])
TAU_EDGES = hist.axis.Variable([30, 45, 60, 100])
MUON = PathFired("IsoMu27")
ELECTRON, ELECTRON_2016 = PathFired("Ele35_WPTight_Gsf"), PathFired("Ele27_WPTight_Gsf")
#: Primary datasets whose events may also be in SingleMuon.
OF_ELECTRONS = ("SingleElectron", "EGamma")

pt, abs_eta = quantity("pt", "$p_T$", "GeV"), quantity("eta").magnitude()
isolation, charge = quantity("isolation", field="pfRelIso04_all"), quantity("charge")
jet_id, pileup_id, btag = map(quantity, ("jetId", "puId", "btagDeepFlavB"))
# each working point is a bit, which is set together with those of all looser ones
vs_jet, vs_e, vs_mu = (quantity(f"idDeepTau2017v2p1VS{of}") for of in ("jet", "e", "mu"))
tau_cuts = (pt >= 30, abs_eta <= 2.3, vs_jet >= 64, vs_e >= 4, vs_mu >= 8)
apart = {"vbs_jet": 0.4}


def in_vbs_pair(jets: ak.Array) -> ak.Array:
    """Return which jets are the pair of the largest mass among all pairs with |Δη| ≥ 2.5."""
    momenta = four_momentum(jets)
    first, second = ak.unzip(ak.argcombinations(momenta, 2))
    wide = abs(momenta[first].eta - momenta[second].eta) >= 2.5
    first, second = first[wide], second[wide]
    best = ak.argmax(invariant_mass(momenta[first], momenta[second]), axis=1, keepdims=True)
    first, second = (ak.fill_none(ak.firsts(of[best]), -1) for of in (first, second))
    number = ak.local_index(jets.eta)
    return (number == first) | (number == second)


def mass_of_pair(events: ak.Array) -> ak.Array:
    """Return the mass of the VBS pair of each event, GeV; NaN without a pair."""
    jets = ak.pad_none(events.vbs_jet, 2)
    return ak.fill_none(invariant_mass(jets[:, 0], jets[:, 1]), np.nan)


def of_lepton(of: Variable, events: ak.Array) -> ak.Array:
    """Return a quantity of the muon of each event, or else of its electron; NaN without either."""
    leptons = ak.concatenate([of(events.muon), of(events.electron)], axis=1)
    return ak.fill_none(ak.firsts(leptons), np.nan)


m_jj = OptionalVariable("m_jj", mass_of_pair, "$m_{jj}$", "GeV")
lepton_pt = OptionalVariable("lepton_pt", lambda e: of_lepton(pt, e), r"$p_T(\ell)$", "GeV")
tau_pt, electron_pt = nth("tau", 1, pt, r"$p_T(\tau)$"), nth("electron", 1, pt)
tau_charge = nth("tau", 1, charge)
charges = OptionalVariable("charge_product", lambda e: of_lepton(charge, e) * tau_charge(e))
met = Variable("met", lambda e: e.MET.pt, r"$p_T^{miss}$", "GeV")
muons, electrons, taus, bjets = map(number_of, ("muon", "electron", "tau", "bjet"))
loose = Variable("n_loose_lepton", lambda e: ak.num(e.loose_muon) + ak.num(e.loose_electron))
same_sign, high_met, no_b = charges > 0, met > 50, bjets.equals(0)
kinds = (
    Region("signal", same_sign, high_met, no_b),
    Region("fakes", same_sign, ~high_met, no_b),
    Region("ttbar", same_sign, high_met, ~no_b),
    Region("opposite_sign", charges < 0, high_met, no_b),
)
flavours = (Region("muon", muons.equals(1)), Region("electron", electrons.equals(1)))


class SameSignWWTau(Analysis):
    """VBS pair, one lepton and one hadronic τ of the same charge, missing momentum, no b jet."""

    schema = ReducedNanoAODSchema
    calibrations = (JetEnergy("Jet", met="MET"),)
    objects = (
        Objects("jet", "Jet", (pt > 30, abs_eta < 5, jet_id >= 2, (pt > 50) | (pileup_id >= 7))),
        Objects("bjet", "jet", (btag >= 0.3033,)),
        Objects("vbs_jet", "jet", (Condition("in the VBS pair", in_vbs_pair),)),
        Objects("loose_muon", "Muon", (pt > 10, abs_eta < 2.4, isolation < 0.4, flag("looseId"))),
        Objects("muon", "loose_muon", (pt > 30, isolation < 0.15, flag("tightId")), apart),
        Objects("loose_electron", "Electron", (pt > 15, flag("mvaFall17V2Iso_WPL"))),
        Objects("electron", "loose_electron", (pt > 35, flag("mvaFall17V2Iso_WP90")), apart),
        Objects("tau", "Tau", tau_cuts, {"muon": 0.5, "electron": 0.5, **apart}),
    )
    selection = Selection(
        Cut("trigger", MUON | ELECTRON, when=lambda d: "2016" not in d["era"]),
        Cut("trigger_2016", MUON | ELECTRON_2016, when=lambda d: "2016" in d["era"]),
        Cut("muon_trigger", MUON, when=lambda d: d.get("primary_dataset") == "SingleMuon"),
        Cut("no_muon_trigger", ~MUON, when=lambda d: d.get("primary_dataset") in OF_ELECTRONS),
        Cut("vbs_pair", number_of("vbs_jet").equals(2)),
        Cut("one_loose_lepton", loose.equals(1)),
        Cut("lepton", (muons >= 1) | (electrons >= 1)),
        Cut("lepton_2017", (muons >= 1) | (electron_pt > 38), when=lambda d: "2017" in d["era"]),
        Cut("tau", taus.equals(1)),
        Cut("m_jj", m_jj > 500),
    )
    regions = (*kinds, *crossed(kinds, flavours))
    histograms = (
        Histogram("m_jj", m_jj, MJJ_EDGES, True),
        Histogram("lepton_pt", lepton_pt, hist.axis.Variable([0, 30, 45, 60, 80, 100, 150, 250])),
        Histogram("tau_pt", tau_pt, TAU_EDGES),
        Histogram("met", met, hist.axis.Regular(40, 0, 400), True),
        Histogram("m_jj_tau_pt", (m_jj, tau_pt), (MJJ_EDGES, TAU_EDGES)),
    )
    columns = (m_jj, lepton_pt, tau_pt, charges, met, bjets)
    weights = (
        PileupWeight(Variable("interactions", lambda e: e.Pileup.nTrueInt)),
        *(ObjectWeight(f"muon_{of}", of="muon", after="lepton") for of in ("id", "isolation")),
        ObjectWeight("electron_id", of="electron", after="lepton"),
        *(ObjectWeight(f"tau_vs_{of}", of="tau", after="tau") for of in ("jet", "e", "mu")),
    )
