"""The summary with which ``run`` and ``demo`` end."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bphcoffea.cli.completion import PROGRAM
from bphcoffea.cli.lumi import print_notes
from bphcoffea.cli.status import missing_events, print_faults, print_state
from bphcoffea.cli.terminal import new_table, say, show_table

if TYPE_CHECKING:
    from rich.table import Table

    from bphcoffea.results import RunFolder

#: Datasets that have a line each; of more, each process has one.
_MOST_DATASETS = 12
#: Notes and faults of each kind that are printed.
_MOST_LINES = 10


def print_summary(run: RunFolder, elapsed_s: float | None = None) -> None:
    """Print what a run selected, whether it is complete, and what needs attention.

    Parameters
    ----------
    run
        Folder of the run.
    elapsed_s
        Time that the whole command took, s; by default the recorded time of the run.
    """
    print_faults(run, _MOST_LINES)
    print_notes(run)
    show_table(_selected(run))
    luminosity = run.read("luminosity.json")["luminosity"]
    if luminosity is not None:
        say(f"luminosity of the data: {luminosity:.6g} fb⁻¹")
    print_state(run, elapsed_s)


def print_next(command: str, folder: Path, comment: str = "") -> None:
    """Print where the results are, and the command to type next.

    Parameters
    ----------
    command
        Name of the command, which takes the folder.
    folder
        Folder of a run.
    comment
        What the command does.
    """
    quoted = shlex.quote(str(folder))
    say(f"results: {folder}")
    say(f"next: {_program()} {command} {quoted}{f'  # {comment}' if comment else ''}")


def _program() -> str:
    """Return how to call the command line: its environment may not be activated."""
    if shutil.which(PROGRAM):
        return PROGRAM
    called = sys.argv[0]
    return called if Path(called).name == PROGRAM else f"{sys.executable} -m {PROGRAM}"


def _selected(run: RunFolder) -> Table:
    """Return the events of each dataset or process before and after all cuts."""
    counts = run.read("ledger.json")["datasets"]
    cutflow, scales = run.cutflow, _scales(run)
    missing = not run.complete
    headers = ["events", *(["missing"] if missing else []), "after all cuts"]
    if scales:
        headers.append("expected")
    table = new_table("dataset", *headers)
    for name, datasets in _groups(run):
        selected = [cutflow[dataset][-1] for dataset in datasets]
        read = [counts[dataset] for dataset in datasets]
        row = [f"{sum(count['processed_events'] for count in read):,}"]
        if missing:
            row.append(missing_events(*read))
        row.append(f"{sum(step['events'] for step in selected):,}")
        if scales and all(dataset in scales for dataset in datasets):
            sums = zip(datasets, selected, strict=True)
            row.append(f"{sum(scales[dataset] * step['sumw'] for dataset, step in sums):,.5g}")
        table.add_row(name, *row)
    return table


def _groups(run: RunFolder) -> Iterator[tuple[str, list[str]]]:
    """Yield what has a line of the table, and its datasets: few datasets, or their processes."""
    datasets = run.datasets
    if len(datasets) <= _MOST_DATASETS:
        yield from ((name, [name]) for name in datasets)
        return
    if datasets.data:
        yield "data", datasets.data
    yield from datasets.by_process.items()


def _scales(run: RunFolder) -> Mapping[str, float]:
    """Return the factors that scale simulated datasets to the luminosity of the data."""
    scales = {name: record.scale for name, record in run.normalisation.items()}
    return {name: scale for name, scale in scales.items() if scale is not None}
