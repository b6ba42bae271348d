"""Fits of masses, counting experiments, limits and datacards, for any analysis.

Names are imported on first use: a mass fit does not wait for pyhf.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bphcoffea.statistics.blindness import NotHiddenError, StillBlindError, check_unblinding
    from bphcoffea.statistics.cls_limits import cls_at, upper_limit
    from bphcoffea.statistics.counting import Channel, counting_workspace
    from bphcoffea.statistics.data_sample import (
        DataSample,
        NotFittedByYearError,
        UnknownLuminosityError,
    )
    from bphcoffea.statistics.datacards import datacard
    from bphcoffea.statistics.fit_record import FitRecord
    from bphcoffea.statistics.limit_results import Confidence, Limit
    from bphcoffea.statistics.mass_fit import MassFit
    from bphcoffea.statistics.mass_shapes import BACKGROUND
    from bphcoffea.statistics.run_fit import fit_mass, of_datasets
    from bphcoffea.statistics.search import Search, search_of, searches
    from bphcoffea.statistics.shape_workspace import MassChannel, shape_workspace
    from bphcoffea.statistics.strength import fit_strength

_MODULES: Final = {
    "blindness": ("NotHiddenError", "StillBlindError", "check_unblinding"),
    "cls_limits": ("cls_at", "upper_limit"),
    "counting": ("Channel", "counting_workspace"),
    "data_sample": ("DataSample", "NotFittedByYearError", "UnknownLuminosityError"),
    "datacards": ("datacard",),
    "fit_record": ("FitRecord",),
    "limit_results": ("Confidence", "Limit"),
    "mass_fit": ("MassFit",),
    "mass_shapes": ("BACKGROUND",),
    "run_fit": ("fit_mass", "of_datasets"),
    "search": ("Search", "search_of", "searches"),
    "shape_workspace": ("MassChannel", "shape_workspace"),
    "strength": ("fit_strength",),
}

__all__ = [
    "BACKGROUND",
    "Channel",
    "Confidence",
    "DataSample",
    "FitRecord",
    "Limit",
    "MassChannel",
    "MassFit",
    "NotFittedByYearError",
    "NotHiddenError",
    "Search",
    "StillBlindError",
    "UnknownLuminosityError",
    "check_unblinding",
    "cls_at",
    "counting_workspace",
    "datacard",
    "fit_mass",
    "fit_strength",
    "of_datasets",
    "search_of",
    "searches",
    "shape_workspace",
    "upper_limit",
]


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
