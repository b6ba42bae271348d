"""All figures of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hist
from matplotlib.figure import Figure

from bphcoffea.analysis.description import AnalysisRecord, HistogramRecord
from bphcoffea.presentation.blinding import (
    Windows,
    blind_histograms,
    blind_windows,
    blinded_in,
    category_windows,
    hide,
    left_out,
    shade,
)
from bphcoffea.presentation.cutflow import draw_cutflow, summed
from bphcoffea.presentation.distributions import draw_distribution
from bphcoffea.presentation.labels import LabelledRun, Labels, literal
from bphcoffea.presentation.mass import draw_mass
from bphcoffea.presentation.spectrum import draw_spectrum
from bphcoffea.presentation.stacks import comparison
from bphcoffea.presentation.style import (
    DATA,
    FIGURES,
    SIMULATION,
    Heading,
    brief,
    cms_style,
    name_of_its_own,
    save,
)
from bphcoffea.results.folder import RunFolder, file_name
from bphcoffea.results.records import Datasets
from bphcoffea.statistics import MassFit, check_unblinding, of_datasets, search_of


def plot_run(
    run: RunFolder,
    *,
    shapes: bool = False,
    unblind: bool = False,
    labels: Labels | None = None,
    note: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Path]:
    """Draw every figure of a run into the folder ``figures``.

    Data are summed; simulated datasets are summed by their process. A mass histogram that was
    fitted is drawn with its fit, one with declared resonances with their labels. Where all
    simulation can be scaled to the luminosity of the data it is stacked, with the band of all
    variations and the ratio.

    Parameters
    ----------
    run
        The folder of a finished run.
    shapes
        Scale each simulated process to the area of the data instead.
    unblind
        Also draw the data that the analysis declares to be blind, of a run that is not.
    labels
        Texts that replace those of the run.
    note
        Called with a line for each text that cannot be drawn as it is meant.
    progress
        Called with the number of histograms that are drawn, and of all.

    Returns
    -------
    The files written: a PNG and a PDF for each figure. They replace those of an earlier call, all
    at once; other files stay.

    Raises
    ------
    StillBlindError
        When the data to be drawn were left out of the run.
    UnwritableError
        When they can't be written; earlier figures stay as they were.
    """
    if unblind:
        check_unblinding(run)
    paths: list[Path] = []
    taken: set[str] = set()
    labelled = LabelledRun(run, labels)
    with run.replacing(FIGURES) as temporary, cms_style():
        figures = _figures(labelled, shapes=shapes, unblind=unblind, progress=progress)
        for name, figure in figures:
            paths += save(figure, temporary / FIGURES, name_of_its_own(name, taken))
    for line in labelled.notes:
        note(line)
    return [run.output / FIGURES / path.name for path in paths]


def _figures(
    run: RunFolder,
    *,
    shapes: bool,
    unblind: bool,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[tuple[str, Figure]]:
    """Yield the figures with their names, one at a time: a run may have many."""
    analysis, datasets = run.analysis, run.datasets
    elsewhere = left_out(run)
    yield from _cutflows(run.cutflow, analysis, datasets, elsewhere)
    declared = analysis.histograms
    fitted = dict(run.read("fit.json")) if run.place("fit.json").is_file() else {}
    if analysis.search and run.place("limit.json").is_file():
        yield from search_of(run).figures(run, unblind=unblind)
    to_be_fitted = analysis.fit.histogram if analysis.fit else None
    stacked = {} if shapes else _stacked(run)
    blind = set() if unblind else blind_histograms(analysis)
    windows = blind_windows(run) if blind else None
    of_category = category_windows(run) if blind else {}
    histograms = run.histograms()
    for number, (name, histogram) in enumerate(histograms.items()):
        progress(number, len(histograms))
        about = _about(histogram, declared.get(name, HistogramRecord(variable=name)), datasets.data)
        if datasets.data:
            about["notes"] = (elsewhere,)
        apart: dict[str | None, Any] = {}
        if name in blind and datasets.data:
            apart = _apart(histogram, stacked.get(name), about, of_category)
            about = _hidden(histogram, stacked.get(name), about, windows)
        compared = stacked.get(name) if about["without"] is None else None
        if about["without"] is not None and name in stacked:
            yield name, _distribution(stacked[name], None, about, datasets, together=True)
            continue
        if name == to_be_fitted:
            yield from _masses(name, histogram, about, datasets, fitted)
            if compared is None:
                continue
        categories: list[str | None] = [None]
        if len(histogram.axes["category"]) > 1 and about["without"] is None:
            categories += list(histogram.axes["category"])
        together = histogram, compared, about
        for category in categories:
            histogram, compared, about = apart.get(category, together)
            place = name if category is None else f"{name}_{file_name(category)}"
            if compared is not None:
                overlay = analysis.overlay_signal
                figure = comparison(compared, category, about, datasets, overlay_signal=overlay)
                # the fitted mass has a figure of that name
                yield place + "_stack" * (name == to_be_fitted), figure
            if about["resonances"]:
                yield (
                    place + "_spectrum" * (compared is not None),
                    _spectrum(histogram, category, about, datasets),
                )
            elif compared is None:
                yield place, _distribution(histogram, category, about, datasets)
    progress(len(histograms), len(histograms))


def _hidden(
    histogram: hist.Hist,
    stacked: hist.Hist | None,
    about: Mapping[str, Any],
    windows: Windows | None,
    category: str | None = None,
) -> dict[str, Any]:
    """Hide data in both histograms; give what is to be said of that."""
    data = about["data"]
    hidden = hide(histogram, windows, data, category)
    if stacked is not None:
        hide(stacked, windows, data, category)
    return {**about, "hidden": hidden, "notes": (blinded_in(hidden, about["unit"]),)}


def _apart(
    histogram: hist.Hist,
    stacked: hist.Hist | None,
    about: Mapping[str, Any],
    of_category: Mapping[str, Windows],
) -> dict[str | None, tuple[hist.Hist, hist.Hist | None, dict[str, Any]]]:
    """Histograms for figures of one category each, where categories hide windows of their own."""
    if not of_category or about["without"] is not None:
        return {}
    histogram = histogram.copy()
    stacked = None if stacked is None else stacked.copy()
    return {
        category: (histogram, stacked, _hidden(histogram, stacked, about, windows, category))
        for category, windows in of_category.items()
    }


def _stacked(run: RunFolder) -> dict[str, hist.Hist]:
    """The histograms with simulation scaled to data; none where there is nothing to compare."""
    if not (run.path / "normalisation.json").is_file():
        return {}
    scales = [known.scale for known in run.normalisation.values()]
    if not scales or None in scales or not run.datasets.data:
        return {}
    return run.normalised_histograms()


def _about(histogram: hist.Hist, declared: HistogramRecord, data: Sequence[str]) -> dict[str, Any]:
    axis = histogram.axes[-1]
    return {
        "data": data,
        "label": declared.label or declared.variable or axis.label or axis.name,
        "unit": declared.unit,
        "log_y": declared.log_y,
        "without": declared.n_minus_1,
        "bounds": declared.bounds,
        "resonances": declared.resonances,
        "hidden": (),
        "notes": (),
    }


def _cutflows(
    cutflows: Mapping[str, Sequence[Mapping[str, Any]]],
    analysis: AnalysisRecord,
    datasets: Datasets,
    blinding: str,
) -> Iterator[tuple[str, Figure]]:
    requirements = {cut.name: cut.requirements for cut in analysis.cuts}
    groups = {DATA.lower(): datasets.data, **datasets.by_process}
    for group, names in groups.items():
        # a cut may exist for some datasets only; cutflows with different steps have no sum
        alike: dict[tuple[str, ...], list[str]] = {}
        for name in names:
            if name in cutflows:
                steps = tuple(row["step"] for row in cutflows[name])
                alike.setdefault(steps, []).append(name)
        for number, same in enumerate(alike.values(), start=1):
            place = f"cutflow_{file_name(group)}" + (f"_{number}" if number > 1 else "")
            title = f"{brief(group)}: {len(same)} datasets"
            if len(same) == 1:
                title = brief(literal(same[0]))
            figure = draw_cutflow(
                summed([cutflows[name] for name in same]),
                Heading.of(
                    (datasets[name] for name in same),
                    () if datasets[same[0]].is_mc else (blinding,),
                ),
                requirements=requirements,
                title=f"{analysis.title or analysis.name} – {title}",
            )
            yield place, figure


def _masses(
    name: str,
    histogram: hist.Hist,
    about: Mapping[str, Any],
    datasets: Datasets,
    fitted: Mapping[str, Any],
) -> Iterator[tuple[str, Figure]]:
    """Yield the mass spectrum with its fit, and those of the datasets or eras fitted apart."""
    everything = {"datasets": datasets.data or list(datasets)}
    parts = {name: fitted or everything}
    parts |= {f"{name}_{file_name(by)}": part for by, part in fitted.get("by", {}).items()}
    for place, part in parts.items():
        chosen = [datasets[dataset] for dataset in part["datasets"]]
        simulated = all(each.is_mc for each in chosen)
        hidden = () if simulated else about["hidden"]
        # a fit tells what is in the bins that are hidden
        drawn = "parameters" in part and not hidden
        figure = draw_mass(
            of_datasets(histogram, part["datasets"]),
            Heading.of(chosen, () if simulated else about["notes"]),
            label=about["label"],
            unit=about["unit"] or "GeV",
            fit=MassFit.from_json(part) if drawn else None,
            points_label=SIMULATION if simulated else DATA,
        )
        shade(figure, hidden)
        yield place, figure


def _spectrum(
    histogram: hist.Hist,
    category: str | None,
    about: Mapping[str, Any],
    datasets: Datasets,
) -> Figure:
    data = datasets.data
    names = data or list(datasets)
    figure = draw_spectrum(
        of_datasets(histogram, names, category),
        Heading.of((datasets[name] for name in names), about["notes"]),
        label=about["label"],
        unit=about["unit"],
        resonances=about["resonances"],
        simulated=not data,
    )
    shade(figure, about["hidden"])
    return figure


def _distribution(
    histogram: hist.Hist,
    category: str | None,
    about: Mapping[str, Any],
    datasets: Datasets,
    *,
    together: bool = False,
) -> Figure:
    """Draw data and each simulated process, or the sum of what is scaled alike."""
    data = datasets.data
    processes = datasets.by_process
    if together:
        processes = {"all processes": [name for names in processes.values() for name in names]}
    return draw_distribution(
        of_datasets(histogram, data, category) if data else None,
        {process: of_datasets(histogram, names, category) for process, names in processes.items()},
        Heading.of(datasets.values(), about["notes"]),
        label=about["label"],
        unit=about["unit"],
        log_y=about["log_y"],
        hidden=about["hidden"],
        without=about["without"],
        bounds=about["bounds"],
    )
