"""Fits of masses, counting experiments, limits and datacards, for any analysis.

Names are imported on first use, so that a mass fit does not load pyhf.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bphcoffea.statistics.blindness import (
        NotHiddenError,
        StillBlindError,
        check_hidden,
        check_unblinding,
    )
    from bphcoffea.statistics.candidates import (
        CATEGORY,
        NEGLIGIBLE,
        WEIGHT,
        Categories,
        read_candidates,
        relative_changes,
    )
    from bphcoffea.statistics.cls_limits import cls_at, upper_limit
    from bphcoffea.statistics.counting import Channel, counting_workspace
    from bphcoffea.statistics.data_sample import (
        DataSample,
        NotFittedByYearError,
        UnknownLuminosityError,
        data_of,
        of_year,
        simulated_decays,
        year_of,
    )
    from bphcoffea.statistics.datacards import datacard
    from bphcoffea.statistics.exclusion import Range, Scan, scan
    from bphcoffea.statistics.export import DATACARDS, exporting, limit_content
    from bphcoffea.statistics.fit_record import FitRecord, ModelFit
    from bphcoffea.statistics.limit_results import MEDIAN, QUANTILES, Confidence, Limit
    from bphcoffea.statistics.mass_background import Background, fit_background
    from bphcoffea.statistics.mass_fit import MassFit
    from bphcoffea.statistics.mass_shapes import BACKGROUND
    from bphcoffea.statistics.records import JsonObject, Record, html_table
    from bphcoffea.statistics.run_fit import fit_mass, of_datasets
    from bphcoffea.statistics.search import Search, search_of, searches
    from bphcoffea.statistics.shape_datacards import write_shape_datacard
    from bphcoffea.statistics.shape_workspace import MassChannel, mass_workspace
    from bphcoffea.statistics.sidebands import SidebandFit, fit_sidebands
    from bphcoffea.statistics.signal_fit import SignalFit, fit_signal_shape
    from bphcoffea.statistics.strength import fit_strength
    from bphcoffea.statistics.workspace import Workspace

_MODULES: Final = {
    "blindness": "NotHiddenError StillBlindError check_hidden check_unblinding",
    "candidates": "CATEGORY NEGLIGIBLE WEIGHT Categories read_candidates relative_changes",
    "cls_limits": "cls_at upper_limit",
    "counting": "Channel counting_workspace",
    "data_sample": "DataSample NotFittedByYearError UnknownLuminosityError data_of of_year "
    "simulated_decays year_of",
    "datacards": "datacard",
    "exclusion": "Range Scan scan",
    "export": "DATACARDS exporting limit_content",
    "fit_record": "FitRecord ModelFit",
    "limit_results": "MEDIAN QUANTILES Confidence Limit",
    "mass_background": "Background fit_background",
    "mass_fit": "MassFit",
    "mass_shapes": "BACKGROUND",
    "records": "JsonObject Record html_table",
    "run_fit": "fit_mass of_datasets",
    "search": "Search search_of searches",
    "shape_datacards": "write_shape_datacard",
    "shape_workspace": "MassChannel mass_workspace",
    "sidebands": "SidebandFit fit_sidebands",
    "signal_fit": "SignalFit fit_signal_shape",
    "strength": "fit_strength",
    "workspace": "Workspace",
}

__all__ = [
    "BACKGROUND",
    "CATEGORY",
    "DATACARDS",
    "MEDIAN",
    "NEGLIGIBLE",
    "QUANTILES",
    "WEIGHT",
    "Background",
    "Categories",
    "Channel",
    "Confidence",
    "DataSample",
    "FitRecord",
    "JsonObject",
    "Limit",
    "MassChannel",
    "MassFit",
    "ModelFit",
    "NotFittedByYearError",
    "NotHiddenError",
    "Range",
    "Record",
    "Scan",
    "Search",
    "SidebandFit",
    "SignalFit",
    "StillBlindError",
    "UnknownLuminosityError",
    "Workspace",
    "check_hidden",
    "check_unblinding",
    "cls_at",
    "counting_workspace",
    "data_of",
    "datacard",
    "exporting",
    "fit_background",
    "fit_mass",
    "fit_sidebands",
    "fit_signal_shape",
    "fit_strength",
    "html_table",
    "limit_content",
    "mass_workspace",
    "of_datasets",
    "of_year",
    "read_candidates",
    "relative_changes",
    "scan",
    "search_of",
    "searches",
    "simulated_decays",
    "upper_limit",
    "write_shape_datacard",
    "year_of",
]


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
