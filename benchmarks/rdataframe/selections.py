"""Selections for RDataFrame: what is filled, and what the functions in C++ call each quantity.

The headers ``<analysis>.h`` evaluate variables and requirements of all candidates; their names
there are those given here, in upper case.
"""

from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Selection:
    """A selection of candidates.

    Attributes
    ----------
    hlt
        Beginning of the names of the accepted trigger paths.
    branches
        Branches of the candidates, the arguments of ``evaluate``.
    steps
        Requirements of each step of the cutflow after the triggers.
    n_minus_1
        Bins, start and stop of the N-1 histogram of a variable, and the requirements left out.
    variables
        Further variables.
    histograms
        Variable, bins, start and stop of the histograms of the best candidates, by name.
    table
        Variables in the table of the best candidates.
    categories
        Names of the categories, whose number is the variable ``category``; none if empty.
    """

    hlt: str
    branches: tuple[str, ...]
    steps: dict[str, tuple[str, ...]]
    n_minus_1: dict[str, tuple[tuple[int, float, float], tuple[str, ...]]]
    histograms: dict[str, tuple[str, int, float, float]]
    table: tuple[str, ...]
    variables: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    l1: tuple[str, ...] = ("L1_DoubleMu", "L1_TripleMu")
    tree: str = "Tree3Mu/ntuple"
    best: str = "vertex_chi2"
    numbers: tuple[str, ...] = ("run", "lumi", "evt")

    def names(self) -> tuple[list[str], list[str]]:
        """Return the names of all variables and of all requirements."""
        requirements = [name for names in self.steps.values() for name in names]
        return [*self.n_minus_1, *self.variables], requirements

    def declarations(self) -> str:
        """Return the numbers of the variables and requirements in C++."""
        return "".join(f"enum {{ {', '.join(names).upper()} }};\n" for names in self.names())

    def number(self, variable: str) -> int:
        """Return the number of a variable; -1 if there is none of that name."""
        variables, _ = self.names()
        return variables.index(variable) if variable in variables else -1

    def bits(self, requirements: tuple[str, ...]) -> int:
        """Return a number with the bits of some requirements."""
        _, known = self.names()
        return sum(1 << known.index(name) for name in requirements)


def momenta(*legs: str) -> tuple[str, ...]:
    return tuple(f"{leg}_{quantity}" for leg in legs for quantity in ("Pt", "Eta", "Phi"))


MUONS = ("mu1", "mu2", "mu3")
PAIRS = tuple(combinations(MUONS, 2))
#: Inputs of the classifier of τ → 3μ beside those that are selected on.
INPUTS = (
    *("triplet_pt", "vertex_chi2_ndof", "alpha_3d", "flight_distance", "ip_max", "ip_min"),
    *("ip_significance_max", "ip_significance_min", "closest_track", "isolation", "muon_quality"),
)

SELECTIONS = {
    "ds_phipi": Selection(
        hlt="HLT_DoubleMu3_Trk_Tau3mu_v",
        branches=(
            *("Triplet2_Mass", "TripletVtx2_Chi2", "RefittedPV2_NTracks"),
            *("FlightDistBS_SV_Significance", *momenta("Mu01", "Mu02", "Tr")),
            *(*momenta("RefTrack1", "RefTrack2"), "Mu1_dRtriggerMatch_2017"),
            *("Mu2_dRtriggerMatch_2017", "MuonPt", "Muon_isGlobal", "Muon_isPF"),
            *("Track_pt", "Track_dz", "Track_dxy"),
        ),
        steps={
            "vertex": ("good_vertex",),
            "candidate": ("in_mass", "with_tracks", "displaced"),
            "acceptance": ("mu1_accepted", "mu2_accepted", "track_accepted"),
            "delta_r": ("mu1_near_mu2", "mu1_near_track", "mu2_near_track"),
            "muon_id": ("mu1_identified", "mu2_identified"),
            "track_ip": ("near_in_z", "near_in_xy"),
            "phi_window": ("in_phi_mass",),
            "trigger_match": ("mu1_triggered", "mu2_triggered"),
        },
        n_minus_1={
            "vertex_chi2": ((50, 0, 25), ("good_vertex",)),
            "mass": ((60, 1.4, 2.2), ("in_mass",)),
            "pv_tracks": ((50, 0, 100), ("with_tracks",)),
            "flight_bs_significance": ((50, 0, 50), ("displaced",)),
            "mu1_pt": ((50, 0, 25), ("mu1_accepted",)),
            "mu1_abs_eta": ((50, 0, 2.5), ("mu1_accepted",)),
            "mu2_pt": ((50, 0, 25), ("mu2_accepted",)),
            "mu2_abs_eta": ((50, 0, 2.5), ("mu2_accepted",)),
            "track_pt": ((50, 0, 25), ("track_accepted",)),
            "delta_r_mu1_mu2": ((50, 0, 1), ("mu1_near_mu2",)),
            "delta_r_mu1_track": ((50, 0, 1), ("mu1_near_track",)),
            "delta_r_mu2_track": ((50, 0, 1), ("mu2_near_track",)),
            "track_abs_dz": ((50, 0, 25), ("near_in_z",)),
            "track_abs_dxy": ((50, 0, 0.5), ("near_in_xy",)),
            "phi_mass": ((60, 0.9, 1.14), ("in_phi_mass",)),
            "mu1_trigger_dr": ((50, 0, 0.1), ("mu1_triggered",)),
            "mu2_trigger_dr": ((50, 0, 0.1), ("mu2_triggered",)),
        },
        histograms={
            "mass": ("mass", 62, 1.65, 2.01),
            "phi_mass": ("phi_mass", 40, 1.00, 1.04),
            "flight_bs_significance": ("flight_bs_significance", 50, 0, 50),
        },
        table=("mass", "vertex_chi2", "phi_mass", "flight_bs_significance"),
    ),
    "tau3mu": Selection(
        hlt="HLT_DoubleMu3_Trk_Tau3mu_v",
        branches=(
            *("Triplet_Mass", "TripletVtx_Chi2", "TripletVtx_NDOF"),
            *(f"{vertex}_{axis}" for vertex in ("TripletVtx", "RefittedPV") for axis in "xyz"),
            *("FlightDistBS_SV", "FlightDistBS_SV_Significance"),
            *momenta("Triplet", "Mu1", "Mu2", "Mu3"),
            *(f"Mu{leg}_dRtriggerMatch_2017" for leg in (1, 2, 3)),
            *("MuonPt", "MuonCharge", "Muon_vz", "Muon_isGlobal", "Muon_isPF", "Muon_isSoft"),
            *(f"Muon_BestTrack{quantity}Err" for quantity in ("Pt", "Eta", "Phi")),
            *(f"Track_{name}" for name in ("pt", "eta", "phi", "dxy", "dz", "dxyError")),
        ),
        steps={
            "vertex": ("good_vertex",),
            "displacement": ("displaced",),
            "muon_id": ("mu1_identified", "mu2_identified", "mu3_identified"),
            "acceptance": ("mu1_accepted", "mu2_accepted", "mu3_accepted"),
            "mass": ("in_mass", "charged"),
            "delta_r": ("mu1_near_mu2", "mu1_near_mu3", "mu2_near_mu3"),
            "delta_z": ("mu1_mu2_in_z", "mu1_mu3_in_z", "mu2_mu3_in_z"),
            "trigger_match": ("mu1_triggered", "mu2_triggered", "mu3_triggered"),
            "phi_veto": ("in_category", "low_no_phi", "high_no_phi"),
            "omega_veto": ("low_no_omega", "high_no_omega"),
        },
        n_minus_1={
            "vertex_chi2": ((50, 0, 25), ("good_vertex",)),
            "flight_significance": ((50, 0, 50), ("displaced",)),
            "mass": ((60, 1.4, 2.2), ("in_mass",)),
            "abs_charge": ((4, -0.5, 3.5), ("charged",)),
            **{f"{mu}_pt": ((50, 0, 25), (f"{mu}_accepted",)) for mu in MUONS},
            **{f"{mu}_abs_eta": ((50, 0, 2.5), (f"{mu}_accepted",)) for mu in MUONS},
            **{f"delta_r_{a}_{b}": ((50, 0, 1), (f"{a}_near_{b}",)) for a, b in PAIRS},
            **{f"delta_z_{a}_{b}": ((50, 0, 1), (f"{a}_{b}_in_z",)) for a, b in PAIRS},
            **{f"{mu}_trigger_dr": ((50, 0, 0.1), (f"{mu}_triggered",)) for mu in MUONS},
            "dimuon_low": ((70, 0.2, 1.6), ("low_no_phi", "low_no_omega")),
            "dimuon_high": ((70, 0.2, 1.6), ("high_no_phi", "high_no_omega")),
        },
        histograms={
            "mass": ("mass", 40, 1.62, 2.02),
            "mass_resolution": ("mass_resolution", 50, 0, 0.025),
            "flight_significance": ("flight_significance", 50, 0, 50),
            "vertex_chi2": ("vertex_chi2", 50, 0, 25),
        },
        variables=("category", "mass_resolution", *INPUTS),
        table=("mass", "mass_resolution", "vertex_chi2", "flight_significance", *INPUTS),
        categories=("A", "B", "C"),
    ),
}
