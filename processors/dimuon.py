"""Dimuon spectrum of NanoAOD, from the ρ and ω to the Z.

All pairs of muons of opposite sign. Reads NanoAOD of any version, and CMS's reduced open-data
files, which only have muons.
"""

import awkward as ak

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Candidates,
    Cut,
    DatasetPathFired,
    Histogram,
    MassModel,
    MuonWeight,
    Peak,
    PileupWeight,
    ScaleWeights,
    Selection,
    Variable,
    leg_abs_eta,
    leg_eta,
    leg_pt,
)
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.physics import constants, invariant_mass

MUONS = ("mu1", "mu2")

charge = Variable(
    "charge", lambda e: e.Dimuon.mu1.charge + e.Dimuon.mu2.charge, axis=Axis(5, -2.5, 2.5)
)
mass = Variable("mass", lambda e: invariant_mass(e.Dimuon.mu1, e.Dimuon.mu2), r"$m(\mu\mu)$", "GeV")
in_eta = [leg_abs_eta("Dimuon", muon) < 2.4 for muon in MUONS]
in_pt = [leg_pt("Dimuon", muon) > 3 for muon in MUONS]

momenta = tuple((leg_pt("Dimuon", muon), leg_eta("Dimuon", muon)) for muon in MUONS)

RESONANCES = (
    (r"$\rho, \omega$", 0.78),
    (r"$\phi$", constants.PHI_MASS),
    (r"$J/\psi$", constants.JPSI_MASS),
    (r"$\psi(2S)$", 3.6861),
    (r"$\Upsilon$", 9.4604),
    ("Z", constants.Z_MASS),
)


class Dimuon(Analysis):
    """Dimuon spectrum."""

    schema = ReducedNanoAODSchema
    candidates = Candidates("Dimuon")
    selection = Selection(
        Cut("hlt", DatasetPathFired(), when=lambda metadata: metadata["hlt"]),
        Cut("opposite_sign", charge.equals(0)),
        Cut("acceptance", *in_eta, *in_pt),
    )
    histograms = (
        Histogram("spectrum", mass, Axis(400, 0.25, 300, log=True), True, RESONANCES),
        Histogram("jpsi", mass, Axis(80, 2.9, 3.3)),
        Histogram("z", mass, Axis(80, 70, 110)),
    )

    weights = (
        # no dataset has an uncertainty of its cross section, which the scales change as well
        ScaleWeights("generator_scale", normalised=False),
        PileupWeight(),
        MuonWeight("muon_reconstruction", momenta, after="acceptance"),
    )

    mass_fit = MassModel(
        histogram="jpsi",
        peaks=(Peak(name="jpsi", label=r"$J/\psi$", mass=constants.JPSI_MASS, width=0.03),),
    )

    def prepare(self, events: ak.Array) -> ak.Array:
        """Add the pairs of muons."""
        muons = events.Muon[["pt", "eta", "phi", "mass", "charge"]]
        return ak.with_field(events, ak.combinations(muons, 2, fields=MUONS), "Dimuon")
