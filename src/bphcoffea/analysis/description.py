"""Description of an analysis, written to ``analysis.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bphcoffea.analysis.blinding import Hidden
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
        histograms=_histograms(analysis),
        overlay_signal=analysis.overlay_signal,
        blind=_blind(analysis),
        search=analysis.search,
        absent=dict(analysis.absent),
        fit=analysis.mass_fit,
        measurements=tuple(analysis.measurements),
        variations={dataset: tuple(names) for dataset, names in variations.items()},
        shapes=tuple(shapes),
    )


def _histograms(analysis: Analysis) -> dict[str, HistogramRecord]:
    records = {}
    for histogram in (*analysis.histograms, *analysis.n_minus_1()):
        variable = histogram.variables[0]
        n_minus_1 = histogram if isinstance(histogram, NMinus1) else None
        records[histogram.name] = HistogramRecord(
            variable=variable.name,
            others=tuple(other.name for other in histogram.variables[1:]),
            label=variable.label or variable.name,
            unit=variable.unit,
            counted="Objects"
            if any(isinstance(v, ObjectVariable) for v in histogram.variables)
            else "Candidates"
            if analysis.candidates
            else "Events",
            log_y=histogram.log_y,
            resonances=tuple(
                ResonanceRecord(label=label, mass=mass) for label, mass in histogram.resonances
            ),
            n_minus_1=n_minus_1.without if n_minus_1 else None,
            bounds=n_minus_1.bounds if n_minus_1 else (),
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
