"""e⁺e⁻ → ZH at 240 GeV: the mass that recoils against Z → ee and Z → μμ, at FCC-ee.

The Higgs boson is seen in the recoil alone, whatever it decays to. Reads EDM4hep files of any
version.
"""

import awkward as ak

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    Histogram,
    Objects,
    Region,
    Selection,
    each,
    nth,
    number_of,
    quantity,
)
from bphcoffea.inputs import FCCSchema
from bphcoffea.physics import invariant_mass, recoil_mass

#: Collision energy, and the mass that the chosen pair is nearest to, GeV [FCCAnalyses].
SQRT_S, Z_MASS = 240.0, 91.2
#: PDG numbers of the leptons.
ELECTRON, MUON = 11, 13
PARTICLES = "ReconstructedParticles/ReconstructedParticles"

pt = quantity("pt", "$p_T$", "GeV", Axis(60, 0, 120))
electrons = number_of("electron", "Number of electrons")
muons = number_of("muon", "Number of muons")
pairs = number_of("pair", "Number of pairs")
z_mass = nth("pair", 1, quantity("mass", unit="GeV", axis=Axis(125, 0, 250)), "$m_Z$")
recoil = nth("pair", 1, quantity("recoil", unit="GeV"), r"$m_\mathrm{recoil}$")
flavour = nth("pair", 1, quantity("flavour"))


def opposite_pairs(leptons: ak.Array, flavour: int) -> ak.Array:
    """Return the pairs of opposite charge, a list per event: mass, recoil (GeV) and flavour."""
    first, second = ak.unzip(ak.combinations(leptons, 2))
    opposite = first.charge + second.charge == 0
    first, second = first[opposite], second[opposite]
    mass = invariant_mass(first, second)
    return ak.zip(
        {
            "mass": mass,
            "recoil": recoil_mass(SQRT_S, first, second),
            "flavour": ak.full_like(mass, flavour, dtype=int),
        }
    )


def nearest_first(*pairs: ak.Array) -> ak.Array:
    """Return all pairs of each event, sorted by the distance of their mass from that of the Z."""
    together = ak.concatenate(pairs, axis=1)
    return together[ak.argsort(abs(together.mass - Z_MASS), stable=True)]


class ZRecoil(Analysis):
    """Mass that recoils against Z → ee and Z → μμ."""

    schema = FCCSchema
    objects = (
        Objects("electron", "Electron", (pt > 10,)),
        Objects("muon", "Muon", (pt > 10,)),
    )
    selection = Selection(
        Cut("two_leptons", (electrons >= 2) | (muons >= 2)),
        Cut("opposite_charge", pairs >= 1),
        Cut("mass", z_mass.between(80, 100)),
    )
    regions = (
        Region("electrons", flavour.equals(ELECTRON)),
        Region("muons", flavour.equals(MUON)),
    )
    histograms = (
        Histogram("m_z", z_mass, Axis(125, 0, 250)),
        Histogram("recoil", recoil, Axis(100, 0, 200)),
        Histogram("recoil_zoom", recoil, Axis(100, 80, 160)),
        Histogram("electrons_pt", each("electron", pt), Axis(60, 0, 120)),
        Histogram("muons_pt", each("muon", pt), Axis(60, 0, 120)),
    )
    columns = (z_mass, recoil, flavour)

    def prepare(self, events: ak.Array) -> ak.Array:
        """Add the pairs of leptons of one flavour and opposite charge."""
        pairs = nearest_first(
            opposite_pairs(events.electron, ELECTRON), opposite_pairs(events.muon, MUON)
        )
        return ak.with_field(events, pairs, "pair")
