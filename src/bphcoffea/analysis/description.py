"""Description of an analysis, written to ``analysis.json``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from bphcoffea.analysis.blinding import Hidden
from bphcoffea.analysis.histograms import Histogram
from bphcoffea.analysis.n_minus_1 import NMinus1
from bphcoffea.analysis.objects import ObjectVariable
from bphcoffea.analysis.records import (
    AnalysisRecord,
    BlindRecord,
    CutRecord,
    HistogramRecord,
    ObjectsRecord,
    RegionRecord,
    ResonanceRecord,
)

if TYPE_CHECKING:
    from bphcoffea.analysis.analysis import Analysis


def describe(
    analysis: Analysis,
    variations: Mapping[str, Sequence[str]],
    shapes: Sequence[str] = (),
    per_event: Collection[str] = (),
) -> AnalysisRecord:
    """Return the record of an analysis.

    Parameters
    ----------
    analysis
        The analysis.
    variations
        Names of the variations of each dataset.
    shapes
        Names of the shape variations.
    per_event
        Names of the variables that have one number per event, not one per candidate.
    """
    title = (type(analysis).__doc__ or "").strip() or analysis.name()
    return AnalysisRecord(
        name=analysis.name(),
        title=title.splitlines()[0].rstrip("."),
        collection=analysis.collection or "",
        objects=tuple(
            ObjectsRecord(name=o.name, of=o.of, requirements=o.steps) for o in analysis.objects
        ),
        cuts=tuple(
            CutRecord(
                name=cut.name,
                requirements=tuple(str(requirement) for requirement in cut.requirements),
            )
            for cut in (*analysis.selection, *analysis.cuts_on_best)
        ),
        best=analysis.best.name if analysis.best else None,
        categories=analysis.categories_by_bin(),
        regions=tuple(
            RegionRecord(name=region.name, requirements=tuple(map(str, region.requirements)))
            for region in analysis.regions
        ),
        classifier=analysis.classifier.describe() if analysis.classifier else None,
        scores=analysis.scores,
        histograms=_histograms(analysis, per_event),
        overlay_signal=analysis.overlay_signal,
        blind=_blind(analysis),
        search=analysis.search,
        absent=dict(analysis.absent),
        fit=analysis.mass_fit,
        measurements=tuple(analysis.measurements),
        variations={dataset: tuple(names) for dataset, names in variations.items()},
        shapes=tuple(shapes),
    )


def _counted(analysis: Analysis, histogram: Histogram, per_event: Collection[str]) -> str:
    """Return what a histogram counts."""
    if any(isinstance(variable, ObjectVariable) for variable in histogram.variables):
        return "Objects"
    # N-1 histograms of the selection are filled once per candidate
    chosen = analysis.best is not None
    chosen &= not isinstance(histogram, NMinus1) or bool(histogram.regions)
    of_events = chosen and all(variable.name in per_event for variable in histogram.variables)
    return "Candidates" if analysis.candidates and not of_events else "Events"


def _histograms(analysis: Analysis, per_event: Collection[str]) -> dict[str, HistogramRecord]:
    records = {}
    for histogram in (*analysis.histograms, *analysis.n_minus_1()):
        variable = histogram.variables[0]
        n_minus_1 = histogram if isinstance(histogram, NMinus1) else None
        records[histogram.name] = HistogramRecord(
            variable=variable.name,
            others=tuple(other.name for other in histogram.variables[1:]),
            label=variable.label or variable.name,
            unit=variable.unit,
            counted=_counted(analysis, histogram, per_event),
            log_y=histogram.log_y,
            resonances=tuple(
                ResonanceRecord(label=label, mass=mass) for label, mass in histogram.resonances
            ),
            n_minus_1=n_minus_1.without if n_minus_1 else None,
            bounds=n_minus_1.bounds if n_minus_1 else (),
            kept=n_minus_1.kept if n_minus_1 else None,
            kept_in=dict(n_minus_1.kept_in) if n_minus_1 else {},
            regions=dict(n_minus_1.regions) if n_minus_1 else {},
        )
    return records


def _blind(analysis: Analysis) -> BlindRecord | None:
    blind, variable = analysis.blind, analysis.blind_variable
    if blind is None or variable is None:
        return None
    hidden = analysis.hidden or Hidden()
    return BlindRecord(
        histogram=blind.histogram,
        variable=variable.name,
        unit=variable.unit,
        windows=blind.around(()) if blind.windows else (),
        by_category=blind.by_category,
        blinded=bool(hidden.windows),
        hidden=hidden.windows,
        masses=hidden.masses,
    )
