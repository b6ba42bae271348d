"""Top quark and missing momentum of NanoAOD v15: a single T quark that decays to tZ, Z → νν."""

import awkward as ak
import numpy as np

from bphcoffea.analysis import (
    Analysis,
    Axis,
    BTag,
    Cut,
    Histogram,
    JetEnergy,
    Objects,
    PartonShower,
    PathFired,
    PDFWeights,
    PileupWeight,
    Region,
    ScaleWeights,
    Selection,
    TemplateFit,
    UnclusteredEnergy,
    Variable,
    crossed,
    filters_passed,
    flag,
    nth,
    number_of,
    quantity,
)
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.physics import delta_r, four_momentum

#: Top quark mass, GeV [PDG].
TOP_MASS = 172.57
#: Working point "loose" of the ParticleNet tagger for 2022 [CMS, BTV: Summer22].
BTAG_LOOSE = 0.047
#: Score above which a fat jet is a top quark or a W boson.
TAGGED = 0.9
#: Number of each kind of top candidate.
KINDS = {"merged": 3, "mixed": 2, "resolved": 1}
FILTERS = (
    *("goodVertices", "globalSuperTightHalo2016Filter", "EcalDeadCellTriggerPrimitiveFilter"),
    *("BadPFMuonFilter", "BadPFMuonDzFilter", "hfNoisyHitsFilter", "eeBadScFilter"),
    "ecalBadCalibFilter",
)
OF_JETS = ("neHEF", "neEmEF", "chHEF", "muEF", "chEmEF", "chMultiplicity", "neMultiplicity")
SCORES = ("particleNetWithMass_TvsQCD", "particleNetWithMass_WvsQCD")
pt, abs_eta = quantity("pt", "$p_T$", "GeV"), quantity("eta").magnitude()
#: Tight identification with lepton veto for |η| < 2.6 [CMS, JetID13p6TeV].
jet_id = (
    *(quantity("neHEF") < 0.99, quantity("neEmEF") < 0.9, quantity("chHEF") > 0.01),
    *(quantity("muEF") < 0.8, quantity("chEmEF") < 0.8, quantity("chMultiplicity") > 0),
    Variable("particles", lambda j: j.chMultiplicity + 1.0 * j.neMultiplicity) > 1,
)
btag, top_score, w_score = map(quantity, ("btagPNetB", *SCORES))


def min_delta_phi(events: ak.Array) -> ak.Array:
    """Return the smallest angle of the missing momentum to a jet; infinite without jets."""
    angles = abs((events.jet.phi - events.PuppiMET.phi + np.pi) % (2 * np.pi) - np.pi)
    return ak.min(angles, axis=1, mask_identity=False)


met = Variable("met", lambda e: e.PuppiMET.pt, r"$p_T^{miss}$", "GeV", Axis(40, 250, 1250))
nearest_jet = Variable("min_dphi", min_delta_phi, r"min $\Delta\phi$", axis=Axis(32, 0, 3.2))
jets, fat_jets, bjets, forward, leptons, tight_muons = map(
    number_of, ("jet", "fat_jet", "bjet", "forward_jet", "lepton", "tight_muon")
)
transverse_mass = quantity("mt", "$M_T$", "GeV")
mt, mt_lepton = nth("top", 1, transverse_mass, "$M_T$"), nth("lepton", 1, transverse_mass)
kind, top_mass = nth("top", 1, quantity("kind")), nth("top", 1, quantity("mass", "$m_t$", "GeV"))
signal = Region("signal", nearest_jet > 0.6, leptons.equals(0), bjets >= 1)
tops = [Region(name, kind.equals(number)) for name, number in KINDS.items()]
sides = [Region("central", forward.equals(0)), Region("forward", forward >= 1)]


def candidates(kind: int, particles: ak.Array, met: ak.Array) -> ak.Array:
    """Return particles with their transverse mass with the missing momentum, GeV."""
    pt, phi = particles.pt, particles.phi
    mt = np.sqrt(2 * pt * met.pt * (1 - np.cos(phi - met.phi)))
    return ak.zip({"pt": pt, "mass": particles.mass, "mt": mt, "kind": ak.full_like(pt, kind)})


def nearest_to_top(tops: ak.Array) -> ak.Array:
    """Return the candidate with the mass nearest to the top's, a list of at most one per event."""
    return ak.drop_none(tops[ak.argmin(abs(tops.mass - TOP_MASS), axis=1, keepdims=True)])


class TopMET(Analysis):
    """Missing momentum and a top: a fat jet (merged), W jet and jet (mixed), or jets (resolved)."""

    schema = ReducedNanoAODSchema
    calibrations = (
        JetEnergy("Jet", met="PuppiMET", together_with=("FatJet",), type1=True),
        UnclusteredEnergy("PuppiMET"),
    )
    objects = (
        Objects("jet", "Jet", (pt > 30, abs_eta < 2.4, *jet_id)),
        Objects("bjet", "jet", (btag > BTAG_LOOSE,)),
        Objects("forward_jet", "Jet", (pt > 30, abs_eta > 2.4)),
        Objects("fat_jet", "FatJet", (pt > 150, abs_eta < 2.4)),
        Objects("electron", "Electron", (pt > 30, abs_eta < 2.5, flag("mvaIso_WP80"))),
        Objects("muon", "Muon", (pt > 30, abs_eta < 2.4, flag("looseId"))),
        Objects("tight_muon", "muon", (pt > 50, flag("tightId"))),
    )
    selection = Selection(
        Cut("trigger", PathFired("PFMET120_PFMHT120_IDTight", "PFMETNoMu120_PFMHTNoMu120_IDTight")),
        Cut("filters", filters_passed(*FILTERS)),
        Cut("jets", (jets > 2) | (fat_jets >= 1)),
        Cut("met", met > 250),
    )
    regions = (
        signal,
        *crossed([signal], tops, sides),
        Region("multijet", nearest_jet < 0.6, leptons.equals(0)),
        Region("top", tight_muons.equals(1), bjets >= 1),
        Region("w_jets", leptons.equals(1), jets >= 3, mt_lepton <= 140, bjets.equals(0)),
        Region("z_jets", nearest_jet > 2.5, leptons.equals(0), bjets.equals(0)),
    )
    histograms = (
        Histogram("mt", mt, Axis(30, 500, 2000), True),
        Histogram("met", met, Axis(40, 250, 1250), True),
        Histogram("top_mass", top_mass, Axis(50, 0, 500)),
    )
    columns = (met, mt, top_mass, kind, jets, bjets)
    measurements = (
        TemplateFit(histogram="mt", regions=("signal", "top", "w_jets"), blind="signal"),
    )
    weights = (
        *(PileupWeight(), ScaleWeights(), PDFWeights(), PartonShower()),
        BTag("bjet", "jet", "btagPNetB", {"L": BTAG_LOOSE}, after="met"),
    )

    def prepare(self, events: ak.Array) -> ak.Array:
        """Add leptons, and a list of the best top candidate of the best kind, at most one."""
        met, fat_jets, jets = events.PuppiMET, events.fat_jet, four_momentum(events.jet)
        both = (four_momentum(events.electron), four_momentum(events.muon))
        leptons = ak.concatenate([candidates(0, of, met) for of in both], axis=1)
        w_jets, beside = ak.unzip(ak.cartesian([fat_jets[w_score(fat_jets) > TAGGED], events.jet]))
        apart = delta_r(w_jets, beside) > 0.8
        first, second, third = ak.unzip(ak.combinations(jets, 3))
        tops = {
            "merged": four_momentum(fat_jets[top_score(fat_jets) > TAGGED]),
            "mixed": four_momentum(w_jets[apart]) + four_momentum(beside[apart]),
            "resolved": first + second + third,
        }
        best = [nearest_to_top(candidates(KINDS[k], of, met)) for k, of in tops.items()]
        events = ak.with_field(events, leptons, "lepton")
        return ak.with_field(events, ak.concatenate(best, axis=1)[:, :1], "top")
