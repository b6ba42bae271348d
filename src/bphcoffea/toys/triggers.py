"""Trigger lists of the toys: names with versions, names that share a beginning, and decisions."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import awkward as ak
import numpy as np

from bphcoffea.toys.decay import Booleans


@dataclass(frozen=True)
class Path:
    """A trigger path or seed.

    Attributes
    ----------
    name
        Name in the ntuple.
    rate
        Probability that it fires.
    accepted
        Whether the selection accepts events of this path.
    """

    name: str
    rate: float
    accepted: bool = False


#: Probability and paths of each menu.
Menus: TypeAlias = tuple[tuple[float, tuple[Path, ...]], ...]


@dataclass(frozen=True)
class TriggerList:
    """Names and decisions of each event.

    Attributes
    ----------
    names, decisions
        Strings and int32, one list per event.
    accepted
        Whether an accepted path fired, shape (events,).
    """

    names: ak.Array
    decisions: ak.Array
    accepted: Booleans


_WITHOUT_MASS = Path("HLT_DoubleMu3_Trk_Tau3mu_NoL1Mass_v3", 0.4)
#: Menus of the high-level trigger.
HLT_MENUS: Final[Menus] = (
    (
        0.50,
        (
            Path("HLT_DoubleMu3_Trk_Tau3mu_v12", 0.95, accepted=True),
            _WITHOUT_MASS,
            Path("HLT_DoubleMu3_TkMu_DsTau3Mu_v4", 0.1),
            Path("HLT_Dimuon0_Jpsi_v12", 0.05),
        ),
    ),
    (
        0.42,
        (
            Path("HLT_Mu8_v11", 0.2),
            _WITHOUT_MASS,
            Path("HLT_DoubleMu3_Trk_Tau3mu_v13", 0.95, accepted=True),
        ),
    ),
    (0.06, (_WITHOUT_MASS, Path("HLT_IsoMu27_v14", 0.05))),
    (0.02, ()),
)
_NO_MASS = Path("HLT_DoubleMu3_TkMu_DsTau3Mu_NoL1Mass_v4", 0.4)
#: Menus of 2018 for τ → 3μ.
HLT_MENUS_2018: Final[Menus] = (
    (
        0.50,
        (
            Path("HLT_DoubleMu3_Trk_Tau3mu_v14", 0.05),  # prescaled
            _NO_MASS,
            Path("HLT_DoubleMu3_TkMu_DsTau3Mu_v4", 0.95, accepted=True),
        ),
    ),
    (
        0.42,
        (
            Path("HLT_DoubleMu3_TkMu_DsTau3Mu_v5", 0.95, accepted=True),
            Path("HLT_Dimuon0_Jpsi_v14", 0.05),
            _NO_MASS,
        ),
    ),
    (0.06, (_NO_MASS, Path("HLT_IsoMu24_v13", 0.05))),
    (0.02, ()),
)
#: Menus of the level-1 trigger.
L1_MENUS: Final[Menus] = (
    (
        0.55,
        (
            Path("L1_SingleMu22", 0.3),
            Path("L1_DoubleMu0er1p5_SQ_OS_dR_Max1p4", 0.85, accepted=True),
            Path("L1_TripleMu_5SQ_3SQ_0OQ", 0.2, accepted=True),
            Path("L1_DoubleEG_25_12", 0.1),
        ),
    ),
    (
        0.40,
        (
            Path("L1_TripleMu_5_3_3", 0.3, accepted=True),
            Path("L1_DoubleMu4_SQ_OS_dR_Max1p2", 0.85, accepted=True),
            Path("L1_SingleMu25", 0.3),
        ),
    ),
    (0.04, (Path("L1_SingleMu22", 0.8), Path("L1_DoubleEG_25_12", 0.1))),
    (0.01, ()),
)


def trigger_list(n: int, menus: Menus, rng: np.random.Generator) -> TriggerList:
    """Draw a menu for each of n events, and a decision for each of its paths."""
    paths = [path for _, menu in menus for path in menu]
    length = np.array([len(menu) for _, menu in menus])
    first = np.cumsum(length) - length

    menu = rng.choice(len(menus), n, p=[probability for probability, _ in menus])
    counts = length[menu]
    event = np.repeat(np.arange(n), counts)
    in_list = np.arange(len(event)) - np.repeat(np.cumsum(counts) - counts, counts)
    path = first[menu][event] + in_list
    fired = rng.random(len(path)) < np.array([p.rate for p in paths])[path]
    accepted = np.array([p.accepted for p in paths])[path]
    return TriggerList(
        names=ak.unflatten(ak.Array([p.name for p in paths])[path], counts),
        decisions=ak.unflatten(fired.astype(np.int32), counts),
        accepted=np.bincount(event[fired & accepted], minlength=n) > 0,
    )
