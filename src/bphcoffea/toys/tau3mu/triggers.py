"""Trigger menus of τ → 3μ, by year."""

from typing import Final

from bphcoffea.toys.triggers import HLT_MENUS as HLT_MENUS_2017
from bphcoffea.toys.triggers import Menus, Path

_NO_MASS = Path("HLT_DoubleMu3_TkMu_DsTau3Mu_NoL1Mass_v4", 0.4)
_MENUS_2018: Final[Menus] = (
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
#: Menus of the high-level trigger, by year.
HLT_MENUS: Final = {"2017": HLT_MENUS_2017, "2018": _MENUS_2018}
