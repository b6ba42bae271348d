"""What an analysis of the toy should find, from the toy's own arrays.

This is the selection of Ds → μN, N → μπ a second time, on purpose: written for flat numpy arrays,
it shares no code with the analyses that are tested against it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bphcoffea.physics.constants import DS_MASS
from bphcoffea.toys.cutflow import Found, count, in_json, smallest
from bphcoffea.toys.decay import Booleans, Floats, Integers
from bphcoffea.toys.hnl.ntuple import Events

#: Edges of the transverse decay length, cm, of the second and third category of each sign.
_LENGTHS: Final = (1.0, 5.0)
#: Names of the categories, first those of equal and then those of opposite charges of the muons.
CATEGORIES: Final = (
    "SSlxy0to1",
    "SSlxy1to5",
    "SSlxy5toInf",
    "OSlxy0to1",
    "OSlxy1to5",
    "OSlxy5toInf",
)
#: What must be exceeded in each: significance of the decay length, the pion's impact parameter
#: (cm), and the significance of that of the muon beside it.
_SIGNIFICANCE: Final = np.array([35.3, 107.0, 191.8, 38.2, 120.5, 255.0])
_PION_IP: Final = np.array([0.03, 0.03, 0.03, 0.05, 0.03, 0.03])
_MUON_SIGNIFICANCE: Final = np.array([2.8, 2.6, 3.0, 3.5, 2.2, 3.4])
_GEN_FLAGS: Final = ("C_mu_Hnl_isHnlDaughter", "C_mu_Ds_isHnlBrother", "C_pi_isHnlDaughter")


@dataclass(frozen=True)
class Truth(Found):
    """What an analysis should find in some events.

    Attributes
    ----------
    category
        Position of the category of the best candidate of each selected event in `CATEGORIES`.
    true
        Whether it is made of the decay products of a heavy neutral lepton.
    generated
        Events that hold one, whether reconstructed or not.
    """

    category: Integers
    true: Booleans
    generated: int

    def as_json(self) -> dict[str, Any]:
        """Give the numbers for ``truth.json``."""
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


def find(events: Events, is_signal: bool) -> Truth:
    """Select and count.

    Parameters
    ----------
    events
        The toy's.
    is_signal
        Whether they are simulation of signal, in which what was generated is required.
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
    return Truth(
        events=n,
        cutflow=cutflow,
        mass=c["C_Hnl_mass"][best].astype(np.float64),
        category=category[best],
        true=events.true[best],
        generated=int(np.sum(events.decays.signal)),
    )


def triggered(events: Events) -> Booleans:
    """Whether some trigger object fits one of the muons of each candidate, shape (candidates,)."""
    t = events.triggers
    paths = [name.removesuffix("_matched") for name in t if name.endswith("_matched")]
    counts = np.bincount(events.trigger_event, minlength=len(events.decays))
    first = np.cumsum(counts) - counts
    # each candidate with each object of its event
    number = counts[events.event]
    candidate = np.repeat(np.arange(len(events.event)), number)
    which = np.arange(len(candidate)) - np.repeat(np.cumsum(number) - number, number)
    thing = first[events.event[candidate]] + which
    fits = np.zeros(len(candidate), dtype=bool)
    for muon in ("C_mu_Ds", "C_mu_Hnl"):
        same = t["HLT_mu_trig_idx"][thing] == events.candidates[f"{muon}_idx"][candidate]
        pt = events.candidates[f"{muon}_pt"][candidate].astype(np.float64)
        for path in paths:
            fits |= same & _fits({k: t[f"{path}_{k}"][thing] for k in _OF_PATH}, pt)
    return np.bincount(candidate[fits], minlength=len(events.event)) > 0


_OF_PATH: Final = ("matched", "dr", "pt", "eta")


def _fits(path: Mapping[str, npt.NDArray[Any]], pt: Floats) -> Booleans:
    fits: Booleans = (
        (path["matched"] > 0)
        & (path["dr"] < 0.05)
        & (np.abs(path["pt"].astype(np.float64) - pt) / pt < 0.1)
        & (path["pt"] > 7.5)
        & (np.abs(path["eta"]) < 1.45)
    )
    return fits


def _category(c: Mapping[str, npt.NDArray[Any]]) -> Integers:
    length = np.searchsorted(_LENGTHS, c["C_Hnl_vertex_2DDist_BS"], side="right")
    opposite = c["C_mu_Hnl_charge"] * c["C_mu_Ds_charge"] < 0
    category: Integers = length + len(CATEGORIES) // 2 * opposite
    return category
