"""``bphcoffea status``: what a run expected, processed and could not read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any

import typer

from bphcoffea import results
from bphcoffea.cli.arguments import RunDirectory
from bphcoffea.cli.terminal import counted, new_table, say, show, show_table


def status(
    directory: RunDirectory,
    cutflow: Annotated[
        bool, typer.Option("--cutflow", help="Also show what passes each cut, by dataset.")
    ] = False,
) -> None:
    """Show what a run expected, processed and could not read; status 3 if it is incomplete."""
    run = results.RunFolder(directory)
    if cutflow:
        _print_cutflow(run)
    _print_slowest(run.read("metrics.json"))
    _print_events(run)
    print_faults(run)
    print_state(run)
    say(f"results: {run.path}")
    if not run.complete:
        raise typer.Exit(3)


def missing_events(*counts: Mapping[str, Any]) -> str:
    """Return the events that a run could not read, in words.

    Parameters
    ----------
    counts
        Counts of datasets in ``ledger.json``.
    """
    events = sum(count["expected_events"] - count["processed_events"] for count in counts)
    files = sum(count["uncounted_files"] for count in counts)
    missing = [f"{events:,}"] if events else []
    if files:
        missing.append(counted(files, "whole file"))
    return " + ".join(missing) or "none"


def print_faults(run: results.RunFolder, most: int | None = None) -> None:
    """Print notes, what was read elsewhere, and what could not be read; at most some of each."""
    ledger = run.read("ledger.json")
    lines = {
        "note": [f"note: {note}" for note in ledger.get("notes", ())],
        "recovery": list(map(_recovery, ledger["detours"])),
        "failure": list(map(_failure, ledger["failed"])),
    }
    for kind, of_kind in lines.items():
        show(of_kind[:most])
        if most is not None and len(of_kind) > most:
            more = counted(len(of_kind) - most, f"more {kind}")
            say(f"{more}: bphcoffea status {shlex.quote(str(run.path))}")


def print_state(run: results.RunFolder, elapsed_s: float | None = None) -> None:
    """Print whether a run is complete, how long it took, and which data it hides.

    Parameters
    ----------
    run
        Folder of the run.
    elapsed_s
        Time that the run took, s; by default the recorded one.
    """
    ledger, metrics = run.read("ledger.json"), run.read("metrics.json")
    if elapsed_s is None:
        elapsed_s = metrics["run_s"]
    files = ledger["uncounted_files"]
    unread = f", {counted(files, 'file')} unread," if files else ""
    say(
        f"{'complete' if ledger['complete'] else 'INCOMPLETE'}: "
        f"{ledger['processed_events']:,} of {ledger['expected_events']:,} events{unread} "
        f"in {elapsed_s:.1f} s "
        f"({metrics['wall_s']:.1f} s for the chunks, {metrics['events_per_s']:,.0f} events/s)"
    )
    if metrics["chunks_not_kept"]:
        say(
            f"note: {counted(metrics['chunks_not_kept'], 'finished chunk')} could not be saved for "
            "--resume; give a folder that the workers can write to with --checkpoints"
        )
    if run.partial:
        share = results.processed_share(ledger)
        say(f"PARTIAL: the run covers {share} of its datasets; its results are preliminary")
    if not ledger["complete"]:
        say("the results lack the failed entries: repeat the run with --resume")
    if text := results.blinding_in_words(run):
        say(text)


def note_missing_events(run: results.RunFolder) -> None:
    """Print a note if a run is incomplete, and one if it is partial."""
    if not run.complete:
        say(f"note: the run is incomplete; see: bphcoffea status {shlex.quote(str(run.path))}")
    if run.partial:
        share = results.processed_share(run.read("ledger.json"))
        say(
            f"note: the run {run.path} is partial: {share} of its datasets; "
            "its results are preliminary"
        )


def _print_slowest(metrics: Mapping[str, Any], most: int = 5) -> None:
    """Print where the time of a run went: by site, and in its slowest files."""
    for kind, header in (("by_site", "sites"), ("by_file", "slowest files")):
        totals = metrics[kind]
        if len(totals) < 2:
            continue
        table = new_table(header, "events", "s", "in input", "MB/s", "CPU")
        names = {name: PurePath(name).name for name in totals}
        if len(set(names.values())) < len(names):
            names = dict(zip(totals, totals, strict=True))
        for name, total in list(totals.items())[:most]:
            table.add_row(
                names[name],
                f"{total['events']:,}",
                f"{total['wall_s']:.1f}",
                f"{total['input_s'] / total['wall_s']:.0%}",
                f"{total['bytes_per_s'] / 1e6:.1f}",
                f"{total['cpu_fraction']:.0%}",
            )
        show_table(table)


def _print_events(run: results.RunFolder) -> None:
    partial = run.partial
    headers = ("in all", "expected", "processed", "missing")[0 if partial else 1 :]
    table = new_table("dataset", *headers, title="events")
    for name, counts in run.read("ledger.json")["datasets"].items():
        numbers = [counts["expected_events"], counts["processed_events"]]
        if partial:
            numbers.insert(0, counts["dataset_events"])
        cells = ("?" if number is None else f"{number:,}" for number in numbers)
        table.add_row(name, *cells, missing_events(counts))
    show_table(table)


def _print_cutflow(run: results.RunFolder) -> None:
    for dataset, steps in run.cutflow.items():
        table = new_table("step", "events", "candidates", "Σw", title=dataset)
        for row in steps:
            table.add_row(
                row["step"], f"{row['events']:,}", f"{row['candidates']:,}", f"{row['sumw']:,.6g}"
            )
        show_table(table)


def _recovery(detour: Mapping[str, Any]) -> str:
    source = f"read from {detour['used']} at try {detour['attempts']}"
    return f"{_entries(detour)}: {source}; first: {detour['error']}"


def _failure(failure: Mapping[str, Any]) -> str:
    tries = "1 try" if failure["attempts"] == 1 else f"{failure['attempts']} tries"
    return f"{_entries(failure)}: FAILED after {tries}: {failure['error']}"


def _entries(entry: Mapping[str, Any]) -> str:
    place = f"dataset '{entry['dataset']}', {entry['file']}"
    if entry["stop"] is None:
        return f"{place}, all entries"
    return f"{place}, entries {entry['start']}-{entry['stop']}"
