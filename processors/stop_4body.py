"""Two soft leptons, jets and missing momentum in PHYSLITE of ATLAS: t̃ → b ℓ ν χ̃⁰.

The selection is that of the four-body decays in JHEP 04 (2021) 165, with approximations because
PHYSLITE lacks two quantities. The missing momentum is computed from the selected objects and the
core of the track-based soft term; tracks of objects that are not selected are left out. Its
significance is MET/√HT (√GeV) instead of the object-based one of the paper, which needs the
resolution of each object. The bounds of R_2l and R_2l4j have not been compared with the paper.
"""

import awkward as ak
import numpy as np

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Condition,
    Cut,
    Histogram,
    MomentumShift,
    Objects,
    OptionalVariable,
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
from bphcoffea.inputs import ReducedPHYSLITESchema
from bphcoffea.physics import four_momentum, invariant_mass

#: Smallest R_2l and R_2l4j by mass difference of stop and neutralino [not verified].
SMALL_DM, LARGE_DM = (25, 0.44), (13, 0.38)
#: Largest |z0 sin θ| of leptons, cm, and bits and largest value of the quality of medium muons.
Z0_SIN_THETA = 0.05
QUALITY_BITS, MEDIUM = 0b11, 1
LOOSE, CLEAN = "DFCommonElectronsLHLooseBL", "DFCommonJets_eventClean_LooseBad"

pt, abs_eta = quantity("pt", "$p_T$", "GeV", Axis(40, 0, 200)), quantity("eta").magnitude()
abs_z0 = quantity("z0_sin_theta", unit="cm").magnitude()
quality = Variable("quality", lambda muons: muons.quality & QUALITY_BITS)
good_muon = (pt > 4, abs_eta < 2.4, quality <= MEDIUM, abs_z0 < Z0_SIN_THETA)
good_electron = (pt > 4.5, abs_eta < 2.47, flag(LOOSE), abs_z0 < Z0_SIN_THETA)
good_jet = (pt > 20, abs_eta < 2.8, flag("NNJvtPass"))
#: Radius around a jet in which a lepton belongs to the jet.
cone = Variable("min(0.4, 0.04 + 10 GeV/pt)", lambda of: np.minimum(0.4, 0.04 + 10 / of.pt))
leptons, jets = number_of("lepton", "Number of leptons"), number_of("jet", "Number of jets")
pt1, pt2 = (nth("lepton", number, pt, rf"$p_T(\ell_{number})$") for number in (1, 2))
jet_pt = nth("jet", 1, pt, "$p_T(j_1)$")
clean = Condition("no bad jet", lambda e: e.EventInfo[CLEAN])


def of_leptons(events: ak.Array) -> ak.Array:
    """Return the sum of the transverse momenta of the two hardest leptons; NaN without two."""
    momenta = ak.fill_none(ak.pad_none(events.lepton.pt, 2), np.nan)
    return momenta[:, 0] + momenta[:, 1]


def significance(events: ak.Array) -> ak.Array:
    """Return MET/√HT, √GeV, with HT of leptons and jets; NaN without any."""
    ht = ak.to_numpy(ak.sum(events.lepton.pt, axis=1) + ak.sum(events.jet.pt, axis=1))
    return events.MET.pt / np.sqrt(np.where(ht > 0, ht, np.nan))


def r_2l4j(events: ak.Array) -> ak.Array:
    """Return MET divided by the sum of MET, two leptons and the four hardest jets."""
    of_jets = ak.sum(events.jet.pt[:, :4], axis=1)
    return events.MET.pt / (events.MET.pt + of_leptons(events) + of_jets)


def pair_mass(events: ak.Array) -> ak.Array:
    """Return the mass of the two hardest leptons, GeV; NaN without two."""
    padded = ak.pad_none(events.lepton, 2)
    return ak.fill_none(invariant_mass(padded[:, 0], padded[:, 1]), np.nan)


met = Variable("met", lambda e: e.MET.pt, "$p_T^{miss}$", "GeV", Axis(50, 0, 1000))
per_root_ht = OptionalVariable(
    "met_significance", significance, "$p_T^{miss}$/√$H_T$", "√GeV", Axis(40, 0, 40)
)
r2l = OptionalVariable("r_2l", lambda e: e.MET.pt / of_leptons(e), axis=Axis(50, 0, 50))
r2l4j = OptionalVariable("r_2l4j", r_2l4j, axis=Axis(50, 0, 1))
m_ll = OptionalVariable("m_ll", pair_mass, r"$m(\ell\ell)$", "GeV", Axis(75, 0, 150))
charge = Variable("charge", lambda e: ak.sum(e.lepton.charge, axis=1))
interactions = Variable("interactions", lambda e: e.EventInfo.actualInteractionsPerCrossing)
high_met = Region("high_met", met > 400, per_root_ht > 10, jet_pt > 150)
differences = (
    Region("small_dm", pt1 < 25, pt2 < 10, r2l > SMALL_DM[0], r2l4j > SMALL_DM[1]),
    Region("large_dm", pt1 < 100, pt2.between(10, 50), r2l > LARGE_DM[0], r2l4j > LARGE_DM[1]),
)


class Stop4Body(Analysis):
    """Overlaps are removed in the order of the objects: electrons, then jets, then leptons."""

    schema = ReducedPHYSLITESchema
    objects = (
        Objects("baseline_muon", "Muons", good_muon),
        Objects("baseline_electron", "Electrons", good_electron, {"baseline_muon": 0.01}),
        Objects("jet", "Jets", good_jet, {"baseline_electron": 0.2}),
        Objects("electron", "baseline_electron", away_from={"jet": cone}),
        Objects("muon", "baseline_muon", away_from={"jet": cone}),
    )
    selection = Selection(
        Cut("jet_cleaning", clean),
        Cut("two_leptons", leptons.equals(2)),
        Cut("opposite_charge", charge.equals(0)),
        Cut("soft_leptons", pt1 < 100, pt2 < 50),
        Cut("jet", jets >= 1),
    )
    regions = (high_met, *crossed([high_met], differences))
    histograms = (
        *(Histogram(of.name, of, of.axis, True) for of in (met, per_root_ht, r2l, r2l4j)),
        *(Histogram(of.name, of, Axis(50, 0, 100)) for of in (pt1, pt2)),
        Histogram("jet1_pt", jet_pt, Axis(50, 0, 1000), True),
        Histogram("m_ll", m_ll, Axis(75, 0, 150)),
        Histogram("n_jet", jets, Axis(10, -0.5, 9.5)),
    )
    columns = (met, per_root_ht, r2l, r2l4j, m_ll, pt1, pt2, jet_pt, jets)
    weights = (PileupWeight(interactions),)
    shifts = (MomentumShift("muon", ((("Muons",),),), {}),)

    def prepare(self, events: ak.Array) -> ak.Array:
        """Add the leptons, and the missing momentum of the selected objects and soft tracks."""
        fields = ("pt", "eta", "phi", "mass", "charge")
        kinds = (events.electron, events.muon)
        leptons = ak.concatenate([ak.zip({f: of[f] for f in fields}) for of in kinds], axis=1)
        leptons = leptons[ak.argsort(leptons.pt, ascending=False, stable=True)]
        x, y = events.TrackSoftTerm.x, events.TrackSoftTerm.y
        for momenta in map(four_momentum, (leptons, events.jet)):
            x, y = x - ak.sum(momenta.px, axis=1), y - ak.sum(momenta.py, axis=1)
        missing = ak.zip({"pt": np.hypot(x, y), "phi": np.arctan2(y, x)})
        return ak.with_field(ak.with_field(events, leptons, "lepton"), missing, "MET")
