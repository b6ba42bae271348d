"""Description of an analysis that later steps read without importing it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bphcoffea.analysis.blinding import Hidden
from bphcoffea.analysis.declaration import N_MINUS_1

if TYPE_CHECKING:
    from bphcoffea.analysis.analysis import Analysis


def describe(analysis: Analysis) -> dict[str, Any]:
    """Return the content of ``analysis.json``, from which figures and fits are made."""
    title = (type(analysis).__doc__ or "").strip() or analysis.name()
    histograms: dict[str, Any] = {}
    for histogram in (*analysis.histograms, *analysis.n_minus_1()):
        variable = histogram.variable
        # JSON holds no infinity, and a figure no line there
        bounds = [bound for bound in analysis.selection.bounds(variable) if math.isfinite(bound)]
        n_minus_1 = histogram.name.startswith(N_MINUS_1)
        histograms[histogram.name] = {
            "variable": variable.name,
            "label": variable.label or variable.name,
            "unit": variable.unit,
            "log_y": histogram.log_y,
            "resonances": [{"label": label, "mass": mass} for label, mass in histogram.resonances],
            "n_minus_1": analysis.selection.cut_of(variable).name if n_minus_1 else None,
            "bounds": bounds if n_minus_1 else [],
        }
    return {
        "name": analysis.name(),
        "title": title.splitlines()[0].rstrip("."),
        "collection": analysis.selection.collection,
        "cuts": [
            {"name": cut.name, "requirements": [str(r) for r in cut.requirements]}
            for cut in (*analysis.selection, *analysis.cuts_on_best)
        ],
        "best": analysis.best.name if analysis.best else None,
        "categories": analysis.categories_by_bin(),
        "classifier": analysis.classifier.describe() if analysis.classifier else None,
        "histograms": histograms,
        "overlay_signal": analysis.overlay_signal,
        "blind": _blinding(analysis),
        "search": analysis.search,
        "absent": dict(analysis.absent),
        "fit": analysis.mass_fit.model_dump(mode="json") if analysis.mass_fit else None,
    }


def _blinding(analysis: Analysis) -> dict[str, Any] | None:
    variable, hidden = analysis.blind_variable, analysis.hidden or Hidden()
    if analysis.blind is None or variable is None:
        return None
    return {
        "histogram": analysis.blind.histogram,
        "variable": variable.name,
        "unit": variable.unit,
        "windows": analysis.blind.around(()) if analysis.blind.windows else (),
        "by_category": analysis.blind.by_category,
        "blinded": bool(hidden.windows),
        "hidden": hidden.windows,
        "masses": hidden.masses,
    }
