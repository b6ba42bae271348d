"""``bphcoffea diff``: which selected candidates of two runs differ, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

import bphcoffea
from bphcoffea import results, storage
from bphcoffea.analysis import ALL
from bphcoffea.cli.arguments import Datasets
from bphcoffea.cli.terminal import counted, new_table, say, show_table
from bphcoffea.differences import IN_BOTH, Cause

if TYPE_CHECKING:
    from bphcoffea.differences import ColumnDifference, GroupDifference, RunComparison

#: Exit status if the candidates differ; 1 is that of a bug in every command.
DIFFERENT = 4


def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of the first run.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Folder of the second run.")],
    dataset: Datasets = None,
    number: Annotated[
        int, typer.Option("--list", metavar="N", min=0, help="List at most N candidates as well.")
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            *("--output", "-o"),
            metavar="FILE",
            help="Write all differences to a .csv or .parquet, or their numbers to a .json.",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0, metavar="REL", help="Relative difference up to which values agree."),
    ] = 1e-9,
    read: Annotated[
        bool,
        typer.Option("--read/--no-read", help="Read events again, with the code of the runs."),
    ] = True,
) -> None:
    """Compare the candidates of two runs: what A has lost and gained in B, by cause.

    The status is 0 if both are the same, and 4 if they differ. Example:

    bphcoffea diff before after --list 5 -o differences.csv
    """
    compared = bphcoffea.compare_runs(
        first, second, datasets=dataset or (), tolerance=tolerance, reread=read
    )
    _print_made(compared)
    differ = {group.dataset for group in compared.groups if not group.same}
    differ |= {column.dataset for column in compared.columns}
    for group in compared.groups:
        if group.group != ALL and group.dataset not in differ:
            continue
        of_dataset = [column for column in compared.columns if column.dataset == group.dataset]
        _print_group(group, of_dataset if group.group == ALL else [])
    for note in compared.notes:
        say(f"note: {note}")
    for candidate in compared.candidates.slice(0, number).to_pylist():
        _print_candidate(candidate)
    if number:
        shown = min(number, compared.candidates.num_rows)
        say(f"{counted(compared.candidates.num_rows, 'difference')}; {shown} shown (--list)")
    if output:
        say(f"written: {_write(compared, output)}")
    if not compared.same:
        raise typer.Exit(DIFFERENT)


def _print_made(compared: RunComparison) -> None:
    say(f"A: {compared.first}")
    say(f"B: {compared.second}")
    for line in compared.made:
        say(f"  {line}")
    if not compared.made:
        say("  made alike: same code, corrections, metadata and fileset")


def _print_group(group: GroupDifference, columns: Sequence[ColumnDifference]) -> None:
    title = group.dataset if group.group == ALL else f"{group.dataset}, {group.group}"
    if group.same and not columns:
        say(f"{title}: the same {counted(group.common, 'candidate')}")
        return
    table = new_table(title, "candidates")
    for name, count in group.rows():
        table.add_row(_indented(name) if name.startswith(" ") else name, f"{count:,}")
        if name == IN_BOTH:
            for column in columns:
                text = f"{column.column} differs by up to {column.largest:.2g}: {column.cause}"
                table.add_row(_indented(text), f"{column.candidates:,}")
    show_table(table)


def _indented(text: str) -> Padding:
    """Return a cell whose lines are all indented."""
    return Padding(Text(text.strip()), (0, 0, 0, 2))


def _print_candidate(candidate: dict[str, Any]) -> None:
    numbers = [str(candidate[name]) for name in ("run", "lumi", "event")]
    where = candidate["dataset"]
    if candidate["group"] != ALL:
        where += f", {candidate['group']}"
    say(f"{candidate['change']}: {':'.join(numbers)} of {where}")
    say(f"  {candidate['file']}, entry {candidate['entry']}")
    say(f"  {Cause(*(candidate[name] for name in Cause.__dataclass_fields__))}")
    for name in candidate:
        column = name.removesuffix("_A")
        if name.endswith("_A") and f"{column}_B" in candidate:
            values = [candidate[name], candidate[f"{column}_B"]]
            if values != [None, None]:
                say(f"  {column}: {_text(values[0])} in A, {_text(values[1])} in B")


def _text(value: object) -> str:
    return (
        "not known" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    )


def _write(compared: RunComparison, path: Path) -> Path:
    if path.suffix != ".json":
        return results.write_table(compared.candidates, path)
    content = json.dumps(compared.as_json(), indent=2, allow_nan=False) + "\n"
    return storage.write_whole(path, content.encode())
