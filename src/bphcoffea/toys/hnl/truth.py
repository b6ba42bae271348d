"""Expected result of an analysis of Ds → μN, N → μπ, from the toy's own arrays.

This is the selection of the analysis a second time, on purpose: written for flat numpy arrays, it
shares no code with the analyses that are tested against it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from typing_extensions import override

from bphcoffea.physics.constants import DS_MASS
from bphcoffea.toys.decay import Booleans, Floats, Integers
from bphcoffea.toys.hnl.reconstruction import Events
from bphcoffea.toys.truth import Truth, count, in_json, smallest

#: Edges of the transverse decay length, cm, of the second and third category of each sign.
_LENGTHS: Final = (1.0, 5.0)
#: Names of the categories: first those of equal charges of the muons, then of opposite ones.
CATEGORIES: Final = (
    "SSlxy0to1",
    "SSlxy1to5",
    "SSlxy5toInf",
    "OSlxy0to1",
    "OSlxy1to5",
    "OSlxy5toInf",
)
#: Thresholds by category: significance of the decay length, impact parameter of the pion (cm), and
#: significance of the impact parameter of the muon beside it.
_SIGNIFICANCE: Final = np.array([35.3, 107.0, 191.8, 38.2, 120.5, 255.0])
_PION_IP: Final = np.array([0.03, 0.03, 0.03, 0.05, 0.03, 0.03])
_MUON_SIGNIFICANCE: Final = np.array([2.8, 2.6, 3.0, 3.5, 2.2, 3.4])
_GEN_FLAGS: Final = ("C_mu_Hnl_isHnlDaughter", "C_mu_Ds_isHnlBrother", "C_pi_isHnlDaughter")
#: Branches of each trigger path.
_PATH_BRANCHES: Final = ("matched", "dr", "pt", "eta")


@dataclass(frozen=True)
class HnlTruth(Truth):
    """Expected result of an analysis of Ds → μN, N → μπ on some events.

    Attributes
    ----------
    category
        Position in `CATEGORIES` of the category of each selected event's best candidate.
    true
        Whether that candidate is made of the decay products of a heavy neutral lepton.
    generated
        Number of events that hold a heavy neutral lepton, whether reconstructed or not.
    """

    category: Integers
    true: Booleans
    generated: int

    @override
    def as_json(self) -> dict[str, object]:
        return {
            "events": self.events,
            "cutflow": in_json(self.cutflow),
            "categories": self._in_categories(np.ones(len(self.mass), dtype=bool)),
            "signal": {
                "generated": self.generated,
                "selected": int(np.sum(self.true)),
                "categories": self._in_categories(self.true),
            },
        }

    def _in_categories(self, which: Booleans) -> dict[str, int]:
        found = Counter(self.category[which].tolist())
        return {name: found[number] for number, name in enumerate(CATEGORIES)}


def find(events: Events, is_signal: bool) -> HnlTruth:
    """Select the best candidates and count.

    Candidates of simulated signal (`is_signal`) must match what was generated.
    """
    c, n = events.candidates, len(events.decays)
    matched = np.zeros(len(events.event), dtype=bool)
    steps: dict[str, Booleans] = {}
    if is_signal:
        matched = np.logical_and.reduce([c[flag] > 0 for flag in _GEN_FLAGS])
        in_event = np.bincount(events.event[matched], minlength=n) > 0
        steps["gen_match"] = in_event[events.event]
    category = _category(c)
    steps |= {
        "trigger": triggered(events),
        "soft_id": (c["C_mu_Hnl_isSoft"] > 0) & (c["C_mu_Ds_isSoft"] > 0),
        "hnl_charge": c["C_mu_Hnl_charge"] + c["C_pi_charge"] == 0,
        "category": (c["C_Hnl_vertex_2DSig_BS"] > _SIGNIFICANCE[category])
        & (np.abs(c["C_pi_BS_ip_xy"]) > _PION_IP[category])
        & (c["C_mu_Hnl_BS_ips_xy"] > _MUON_SIGNIFICANCE[category]),
    }
    cutflow, alive = count(n, events.event, steps.items())
    best = smallest(events.event, alive, np.abs(c["C_Ds_mass"].astype(np.float64) - DS_MASS))
    if is_signal:
        best = best[matched[best]]
        cutflow = (*cutflow, ("gen_best", len(best), len(best)))
    return HnlTruth(
        events=n,
        cutflow=cutflow,
        mass=c["C_Hnl_mass"][best].astype(np.float64),
        category=category[best],
        true=events.true[best],
        generated=int(np.sum(events.decays.signal)),
    )


def triggered(events: Events) -> Booleans:
    """Return whether a trigger object fits a muon of each candidate, shape (candidates,)."""
    t = events.triggers
    paths = [name.removesuffix("_matched") for name in t if name.endswith("_matched")]
    counts = np.bincount(events.trigger_event, minlength=len(events.decays))
    first = np.cumsum(counts) - counts
    # each candidate with each object of its event
    number = counts[events.event]
    candidate = np.repeat(np.arange(len(events.event)), number)
    which = np.arange(len(candidate)) - np.repeat(np.cumsum(number) - number, number)
    row = first[events.event[candidate]] + which
    fits = np.zeros(len(candidate), dtype=bool)
    for muon in ("C_mu_Ds", "C_mu_Hnl"):
        same = t["HLT_mu_trig_idx"][row] == events.candidates[f"{muon}_idx"][candidate]
        pt = events.candidates[f"{muon}_pt"][candidate].astype(np.float64)
        for path in paths:
            fits |= same & _fits({name: t[f"{path}_{name}"][row] for name in _PATH_BRANCHES}, pt)
    return np.bincount(candidate[fits], minlength=len(events.event)) > 0


def _fits(path: Mapping[str, Floats], pt: Floats) -> Booleans:
    fits: Booleans = (
        (path["matched"] > 0)
        & (path["dr"] < 0.05)
        & (np.abs(path["pt"].astype(np.float64) - pt) / pt < 0.1)
        & (path["pt"] > 7.5)
        & (np.abs(path["eta"]) < 1.45)
    )
    return fits


def _category(c: Mapping[str, Floats]) -> Integers:
    length = np.searchsorted(_LENGTHS, c["C_Hnl_vertex_2DDist_BS"], side="right")
    opposite = c["C_mu_Hnl_charge"] * c["C_mu_Ds_charge"] < 0
    category: Integers = length + len(CATEGORIES) // 2 * opposite
    return category
