"""``bphcoffea template fit``, ``limit`` and others: inference on a workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bphcoffea import presentation, results, statistics, storage
from bphcoffea.cli.terminal import counted, new_table, say, show_table
from bphcoffea.errors import FitError
from bphcoffea.progress import progress
from bphcoffea.rounding import with_error
from bphcoffea.statistics import inference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bphcoffea.statistics.inference import Fit, UpperLimit, WorkspaceModel, Yields

#: Folder of figures.
FIGURES = "figures"
#: Number of rows of printed tables.
ROWS = 20

Place = Annotated[
    Path,
    typer.Argument(
        metavar="WORKSPACE",
        help="Workspace of pyhf, or a folder with one.",
    ),
]
Asimov = Annotated[
    bool, typer.Option("--asimov", help="Use expected data, with signal, instead of the observed.")
]
Toys = Annotated[int, typer.Option(min=0, help="Number of toys; 0 for none.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the toys.")]


def fit(
    workspace: Place,
    asimov: Asimov = False,
    minos: Annotated[
        bool, typer.Option("--minos", help="Also find the 68% interval of the strength.")
    ] = False,
) -> None:
    """Fit the templates: values, errors, pulls, correlations and yields.

    Writes fit.json, yields.json, yields.tex and figures beside the workspace.
    """
    model = _model(workspace)
    result = inference.fit(model, asimov=asimov, minos=minos)
    before, after = inference.yields(model), inference.yields(model, result)
    _print_fit(result)
    _print_yields(before, after)
    tables = {"pre-fit": before.as_json(), "post-fit": after.as_json()}
    with _replacing(workspace, "fit") as place:
        place.write("fit.json", result.as_json())
        place.write("yields.json", tables)
        place.write_text("yields.tex", before.as_latex() + "\n" + after.as_latex())
        # of another file in the folder, the axes are unknown
        axes = {} if place.prefix else statistics.axes_of(_folder(workspace))
        place.draw(_fit_figures(model, result, before, after, axes))


def significance(
    workspace: Place,
    toys: Toys = 0,
    seed: Seed = 0,
) -> None:
    """Test the hypothesis without signal, and write significance.json."""
    model = _model(workspace)
    with progress(None, "Fitting toys", "toy") as bar:
        result = inference.significance(model, toys=toys, seed=seed, progress=bar.update)
    table = new_table("", "significance", "p-value")
    if result.observed is not None and result.p_value is not None:
        table.add_row("observed", f"{result.observed:.2f}", f"{result.p_value:.3g}")
    title = f"expected, strength {result.strength:g}"
    table.add_row(title, f"{result.expected:.2f}", f"{result.expected_p_value:.3g}")
    show_table(table)
    _say_p_value(toys, result)
    with _replacing(workspace, "significance") as place:
        place.write("significance.json", result.as_json())


def limit(
    workspace: Place,
    toys: Annotated[
        int, typer.Option(min=0, help="Toys per strength; 0 for asymptotic formulae.")
    ] = 0,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    seed: Seed = 0,
) -> None:
    """Set an upper limit on the strength with CLs, and write limit.json and a figure."""
    if not 0 < level < 1:
        raise FitError(f"--level {level:g}: a confidence level lies between 0 and 1")
    model = _model(workspace)
    with progress(None, "Testing strengths", "toy" if toys else "strength") as bar:
        result = inference.limit(model, level=level, toys=toys, seed=seed, progress=bar.update)
    _print_limit(result)
    heading = presentation.Heading("Toys" if toys else "Asymptotic formulae")
    with _replacing(workspace, "limit") as place:
        place.write("limit.json", result.as_json())
        place.draw({"cls": lambda: presentation.cls_figure(result, heading)})


def scan(
    workspace: Place,
    asimov: Asimov = False,
    low: Annotated[float | None, typer.Option(help="Lowest strength.")] = None,
    high: Annotated[float | None, typer.Option(help="Highest strength.")] = None,
    points: Annotated[int, typer.Option(min=2, help="Number of strengths.")] = 31,
) -> None:
    """Scan the profile likelihood of the strength, and write scan.json and a figure."""
    model = _model(workspace)
    result = inference.scan(model, low=low, high=high, points=points, asimov=asimov)
    table = new_table("interval of the strength", "low", "high")
    for label, (first, last) in zip(("68%", "95%"), result.intervals, strict=True):
        table.add_row(label, f"{first:.4g}", f"{last:.4g}")
    show_table(table)
    heading = _heading(result.asimov)
    with _replacing(workspace, "scan") as place:
        place.write("scan.json", result.as_json())
        place.draw({"scan": lambda: presentation.profile_figure(result, heading)})


def rank(workspace: Place, asimov: Asimov = False) -> None:
    """Rank parameters by their impact on the strength; write ranking.json and a figure."""
    model = _model(workspace)
    with progress(None, "Fitting", "parameter") as bar:
        result = inference.rank(model, asimov=asimov, progress=bar.update)
    table = new_table("parameter", "pull", "constraint", "up", "down")
    for impact in result.impacts[:ROWS]:
        found = impact.parameter
        table.add_row(
            found.name,
            _number(found.pull, signed=True),
            _number(found.constraint),
            f"{impact.up:+.3g}",
            f"{impact.down:+.3g}",
        )
    show_table(table)
    _note_rest(len(result.impacts), "ranking.json")
    say(f"{result.poi} = {with_error(result.best, result.error)}")
    heading = _heading(result.asimov)
    with _replacing(workspace, "rank") as place:
        place.write("ranking.json", result.as_json())
        if result.impacts:
            place.draw({"ranking": lambda: presentation.impact_figure(result, heading)})


def gof(
    workspace: Place,
    toys: Toys = 0,
    seed: Seed = 0,
) -> None:
    """Compare the fit with the saturated model, and write goodness.json."""
    model = _model(workspace)
    with progress(None, "Fitting toys", "toy") as bar:
        result = inference.goodness_of_fit(model, toys=toys, seed=seed, progress=bar.update)
    p_value = "" if result.p_value is None else f", p-value {result.p_value:.3g}"
    say(f"χ²/ndof = {result.statistic:.1f}/{result.ndof}{p_value}")
    _say_p_value(toys, result)
    with _replacing(workspace, "goodness") as place:
        place.write("goodness.json", result.as_json())


def _say_p_value(toys: int, result: inference.Significance | inference.GoodnessOfFit) -> None:
    """Print the p-value that toys give, if there are any."""
    if result.toys_p_value is not None:
        say(f"{counted(toys, 'toy')}: p-value {result.toys_p_value:.3g} ± {result.toys_error:.1g}")


def _model(workspace: Path) -> WorkspaceModel:
    # before NumPy is imported: its threads cost more than they gain with small matrices
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    model = inference.WorkspaceModel.read(workspace)
    if model.blinded:
        say("blinded: only expected results are shown")
    return model


class _Files:
    """New files of a command, written beside a workspace."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self.prefix = folder, prefix

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, indent=1, allow_nan=False)
        self.write_text(name, text + "\n")

    def write_text(self, name: str, text: str) -> None:
        (self.folder / f"{self.prefix}{name}").write_text(text, encoding="utf-8")

    def draw(self, figures: Mapping[str, Any]) -> None:
        with presentation.cms_style():
            for name, make in figures.items():
                figure: Figure | None = make()
                if figure is not None:
                    name = results.file_name(f"{self.prefix}{name}")
                    presentation.save(figure, self.folder / FIGURES, name)


@contextmanager
def _replacing(workspace: Path, command: str) -> Iterator[_Files]:
    """Replace the files of a command, and print where they are."""
    folder = _folder(workspace)
    # several workspaces may share a folder
    prefix = (
        ""
        if workspace.is_dir() or workspace.name == statistics.WORKSPACE_FILE
        else f"{workspace.stem}-"
    )
    with storage.replacing(folder, f"{prefix}template-{command}") as temporary:
        yield _Files(temporary, prefix)
        names = sorted(p.relative_to(temporary).as_posix() for p in temporary.rglob("*.*"))
    figures = [name for name in names if name.startswith(f"{FIGURES}/")]
    say(f"written to {folder}: {', '.join(name for name in names if name not in figures)}")
    if figures:
        say(f"{counted(len(figures), 'figure')} in {folder / FIGURES}")


def _folder(workspace: Path) -> Path:
    return workspace if workspace.is_dir() else workspace.parent


def _heading(asimov: bool) -> presentation.Heading:
    return presentation.Heading("Expected data" if asimov else "Data")


def _fit_figures(
    model: WorkspaceModel,
    result: Fit,
    before: Yields,
    after: Yields,
    axes: Mapping[str, statistics.TemplateAxis],
) -> dict[str, Any]:
    """Return functions that draw the figures of a fit, by name."""
    heading = _heading(result.asimov)
    figures: dict[str, Any] = {
        "pulls": lambda: presentation.pull_figure(result, heading),
        "pulls-bins": lambda: presentation.pull_figure(result, heading, bins=True),
        "correlations": lambda: presentation.correlation_figure(result, heading),
    }
    # data that were not fitted are not compared with the fit
    for table in (before, *(() if result.asimov and not model.blinded else (after,))):
        for entry in table.channels:
            title = presentation.Heading(f"{entry.channel}, {table.stage}")
            figures[f"{table.stage}-{entry.channel}"] = lambda entry=entry, title=title: (
                presentation.channel_figure(entry, title, axes.get(entry.channel))
            )
    return figures


def _print_fit(result: Fit) -> None:
    """Print the strength, free parameters, and those of largest pull; factors of bins last."""
    free = [p for p in result.parameters if p.pull is None and p.error is not None]
    pulled = [p for p in result.parameters if p.pull is not None]
    pulled.sort(key=lambda p: (p.name.endswith("]"), -abs(p.pull or 0.0)))
    shown = [result.strength, *(p for p in free if p.name != result.poi), *pulled][:ROWS]
    title = "fit of expected data" if result.asimov else "fit"
    table = new_table("parameter", "value", "pull", "constraint", title=title)
    for found in shown:
        table.add_row(
            found.name,
            with_error(found.value, found.error or 0.0),
            _number(found.pull, signed=True),
            _number(found.constraint),
        )
    show_table(table)
    _note_rest(len(free) + len(pulled), "fit.json")
    if result.interval:
        low, high = result.interval
        best = result.strength.value
        say(f"{result.poi} = {best:.4g} +{high - best:.3g} -{best - low:.3g} (MINOS)")
    for note in result.notes:
        say(f"note: {note}")


def _print_yields(before: Yields, after: Yields) -> None:
    table = new_table("events", before.stage, after.stage, "data")
    for first, last in zip(before.channels, after.channels, strict=True):
        seen = "hidden" if last.data is None else f"{sum(last.data):g}"
        table.add_row(
            first.channel,
            with_error(first.total, first.total_error),
            with_error(last.total, last.total_error),
            seen,
        )
    show_table(table)


def _print_limit(result: UpperLimit) -> None:
    found = result.limit
    table = new_table(f"limit on {result.poi} ({100 * found.level:g}% CL)", "strength")
    if found.observed is not None:
        table.add_row("observed", f"{found.observed:.4g}")
    for shift, value in zip(statistics.QUANTILES, found.expected, strict=True):
        label = "expected" if shift == 0 else f"expected {shift:+d}σ"
        table.add_row(label, f"{value:.4g}")
    show_table(table)
    if found.toys:
        say(f"{counted(found.toys, 'toy')} per strength and hypothesis")
    if found.note:
        say(f"note: {found.note}")


def _note_rest(number: int, file: str) -> None:
    if number > ROWS:
        say(f"{number - ROWS} more in {file}")


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.2f}" if signed else f"{value:.2f}"
