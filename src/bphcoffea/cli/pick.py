"""``bphcoffea pick``: single events of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bphcoffea import results
from bphcoffea.cli.arguments import Datasets, RunDirectory
from bphcoffea.cli.completion import complete_category
from bphcoffea.cli.terminal import counted, say, show, terminal_width

#: Columns that the first lines of a candidate show.
_PLACE = ("dataset", "run", "lumi", "event", "file", "entry", "category")
_WEIGHT = "weight"


def pick(
    directory: RunDirectory,
    ranges: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RANGE...]", help="'mass 1.95:1.99', 'pt 5:', 'event 1234'."),
    ] = None,
    dataset: Datasets = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only this region or category; may be repeated.",
            autocompletion=complete_category,
        ),
    ] = None,
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, help="Show at most this many.")
    ] = 10,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write all to a .csv or .parquet."),
    ] = None,
) -> None:
    """Show selected candidates: run, section and event, file and entry, values and weights."""
    table = results.pick(
        results.RunFolder(directory),
        map(results.ValueRange.of, ranges or ()),
        datasets=dataset or (),
        groups=region or (),
    )
    shown = table.slice(0, number).to_pylist()
    for candidate in shown:
        show(_lines({name: value for name, value in candidate.items() if value is not None}))
    of = f"; {len(shown)} shown (-n)" if len(shown) < table.num_rows else ""
    say(f"{counted(table.num_rows, 'candidate')}{of}")
    if output:
        say(f"written: {results.write_table(table, output)}")


def _lines(candidate: dict[str, Any]) -> Iterator[str]:
    numbers = [str(candidate[name]) for name in ("run", "lumi", "event") if name in candidate]
    category = f", category {candidate['category']}" if "category" in candidate else ""
    yield f"{':'.join(numbers) or 'candidate'} of {candidate['dataset']}{category}"
    if "file" in candidate:
        yield f"  {candidate['file']}, entry {candidate['entry']}"
    factors = {
        name.removeprefix("weight_"): value
        for name, value in candidate.items()
        if name.startswith("weight_")
    }
    values = [
        f"{name} {_text(value)}"
        for name, value in candidate.items()
        if name not in (*_PLACE, _WEIGHT) and not name.startswith(("weight_", "in_"))
    ]
    yield from _wrapped(values)
    if regions := [
        n.removeprefix("in_") for n, v in candidate.items() if n.startswith("in_") and v
    ]:
        yield f"  in {', '.join(regions)}"
    product = " × ".join(f"{name} {_text(value)}" for name, value in factors.items())
    yield f"  weight {_text(candidate[_WEIGHT])}{f' = {product}' if product else ''}"


def _wrapped(values: list[str]) -> Iterator[str]:
    width, line = min(terminal_width(), 80), ""
    for value in values:
        if line and len(line) + len(value) + 4 > width:
            yield f"  {line}"
            line = ""
        line += f"  {value}" if line else value
    if line:
        yield f"  {line}"


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
