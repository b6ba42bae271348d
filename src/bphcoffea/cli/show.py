"""``bphcoffea show``: what an analysis declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bphcoffea import datasets, execution, processing
from bphcoffea.cli.arguments import AnalysisName, load_named
from bphcoffea.cli.terminal import new_table, say
from bphcoffea.cli.terminal import show as print_lines

if TYPE_CHECKING:
    from rich.table import Table

    from bphcoffea.analysis import Analysis, AnalysisRecord


def show(
    analysis: AnalysisName,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE...]", help="ROOT files whose branches to list."),
    ] = None,
    path: Annotated[
        bool, typer.Option("--path", help="Only print the path of the file, to copy it.")
    ] = False,
) -> None:
    """Show what an analysis selects, fills and fits, and the corrections that it can take.

    Of ntuples, which always have the same branches, these are listed without a file.
    """
    if path:
        say(str(execution.find_analysis(analysis)))
        return
    loaded = load_named(analysis)
    print_lines(_lines(loaded, loaded.describe()))
    print_lines(_branches(loaded, files or []))


def _lines(analysis: Analysis, record: AnalysisRecord) -> Iterator[str | Table]:
    yield f"{record.title}; reads {analysis.schema.__name__}"
    if record.objects:
        table = new_table("objects", "of", "requirements", numbers=slice(0))
        for objects in record.objects:
            table.add_row(objects.name, objects.of, "\n".join(objects.requirements))
        yield table
    table = new_table("cut", "requirements", numbers=slice(0))
    for cut in record.cuts:
        absent = record.absent.get(cut.name)
        text = "\n".join(cut.requirements) or (f"not applied: {absent}" if absent else "")
        table.add_row(cut.name, text)
    yield table
    if record.collection:
        best = f"the one with the best {record.best} is kept" if record.best else "all are kept"
        yield f"candidates: {record.collection}; {best}"
    if record.categories:
        yield f"categories: {', '.join(record.categories)}"
    if record.regions:
        table = new_table("region", "requirements", numbers=slice(0))
        for region in record.regions:
            table.add_row(region.name, "\n".join(region.requirements))
        yield table
    table = new_table("histogram", "of", numbers=slice(0))
    left_out = []
    for name, histogram in record.histograms.items():
        if histogram.n_minus_1 is not None:
            left_out.append(histogram.variable)
            continue
        unit = f" [{histogram.unit}]" if histogram.unit else ""
        of = ", ".join((histogram.variable, *histogram.others))
        table.add_row(name, f"{of}{unit}")
    yield table
    if left_out:
        yield f"N-1 histograms of {', '.join(dict.fromkeys(left_out))}"
    sections = {weight.name: weight.needs() for weight in analysis.weights}
    table = new_table("weight or calibration", "section of the corrections", numbers=slice(0))
    for name, section in sections.items():
        table.add_row(name, section or "none needed")
    for calibration in analysis.calibrations:
        table.add_row(type(calibration).__name__, "\n".join(calibration.needs()))
    if table.row_count:
        yield table
    if record.blind:
        blind = record.blind
        windows = " and ".join(f"{low:g} to {high:g}" for low, high in blind.windows)
        unit = f" {blind.unit}" if blind.unit else ""
        yield (
            f"hidden in data: {blind.variable} {windows}{unit}"
            if windows
            else f"hidden in data: {blind.variable} around each --mass"
        )
    if record.fit:
        peaks = ", ".join(peak.name for peak in record.fit.peaks)
        yield f"mass fit: of '{record.fit.histogram}', with {peaks}"
    if record.search:
        yield f"search: {record.search} (bphcoffea limit)"


def _branches(analysis: Analysis, files: list[str]) -> Iterator[str]:
    if files:
        fileset = datasets.fileset_of_files(files, analysis.schema)
        with execution.engine("iterative") as running:
            needs = execution.needs_of(analysis, fileset, running)
    else:
        # simulation has all branches
        metadata = datasets.Metadata(is_mc=True, era=datasets.UNKNOWN_ERA)
        needs = processing.branch_needs(analysis, {"": metadata.model_dump()})
    for name, need in needs.items():
        of = f" of {name}" if name else ""
        if need.required:
            yield f"{len(need.required)} branches{of}: {', '.join(need.required)}"
        if need.looked_for:
            yield f"if they exist: {', '.join(need.looked_for)}"
