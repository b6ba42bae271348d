"""Trigger lists of the toy: names with versions, names that share a beginning, and decisions."""

from dataclasses import dataclass
from typing import Final

import awkward as ak
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Path:
    """A trigger path or seed.

    Attributes
    ----------
    name
        As it stands in the ntuple.
    rate
        Probability that it fires.
    accepted
        Whether the selection of Ds → φπ asks for it.
    """

    name: str
    rate: float
    accepted: bool = False


@dataclass(frozen=True)
class TriggerList:
    """Names and decisions of each event.

    Attributes
    ----------
    names, decisions
        Strings and int32, a list an event.
    accepted
        Whether a path that the selection asks for fired, shape (events,).
    """

    names: ak.Array
    decisions: ak.Array
    accepted: npt.NDArray[np.bool_]


_WITHOUT_MASS = Path("HLT_DoubleMu3_Trk_Tau3mu_NoL1Mass_v3", 0.4)
#: What the trigger menus of the high-level trigger hold, and how often each is in force.
HLT_MENUS: Final = (
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
#: The same for the first level.
L1_MENUS: Final = (
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


def trigger_list(
    n: int, menus: tuple[tuple[float, tuple[Path, ...]], ...], rng: np.random.Generator
) -> TriggerList:
    """Draw a menu for each event, and a decision for each of its paths.

    Parameters
    ----------
    n
        Number of events.
    menus
        Probability and paths of each menu.
    rng
        Source of randomness.
    """
    paths = [path for _, menu in menus for path in menu]
    length = np.array([len(menu) for _, menu in menus])
    first = np.cumsum(length) - length

    menu = rng.choice(len(menus), n, p=[probability for probability, _ in menus])
    counts = length[menu]
    event = np.repeat(np.arange(n), counts)
    in_list = np.arange(len(event)) - np.repeat(np.cumsum(counts) - counts, counts)
    path = first[menu][event] + in_list
    fired = rng.random(len(path)) < np.array([p.rate for p in paths])[path]
    asked_for = np.array([p.accepted for p in paths])[path]
    return TriggerList(
        names=ak.unflatten(ak.Array([p.name for p in paths])[path], counts),
        decisions=ak.unflatten(fired.astype(np.int32), counts),
        accepted=np.bincount(event[fired & asked_for], minlength=n) > 0,
    )
