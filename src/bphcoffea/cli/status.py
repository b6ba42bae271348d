"""``bphcoffea status``: what a run expected, processed and could not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from bphcoffea import results
from bphcoffea.cli.arguments import RunDirectory
from bphcoffea.cli.terminal import console, counted, new_table, say


def status(directory: RunDirectory) -> None:
    """Show what a run expected, processed and could not read; status 3 if it is incomplete."""
    run = results.RunFolder(directory)
    _print_slowest(run.read("metrics.json"))
    print_ledger(run)
    print_blinding(run)
    if not run.complete:
        raise typer.Exit(3)


def print_ledger(run: results.RunFolder) -> None:
    """Print which events a run expected, processed and could not read."""
    ledger, metrics = run.read("ledger.json"), run.read("metrics.json")
    partial = run.partial
    headers = ("in all", "expected", "processed", "missing")[0 if partial else 1 :]
    table = new_table("dataset", *headers, title="events")
    for name, counts in ledger["datasets"].items():
        expected, processed = counts["expected_events"], counts["processed_events"]
        missing = [f"{expected - processed:,}"] if processed != expected else []
        if counts["uncounted_files"]:
            missing.append(counted(counts["uncounted_files"], "whole file"))
        row = [f"{expected:,}", f"{processed:,}", " + ".join(missing) or "none"]
        if partial:
            in_all = counts["dataset_events"]
            row.insert(0, "?" if in_all is None else f"{in_all:,}")
        table.add_row(name, *row)
    console.print(table)
    for note in ledger.get("notes", ()):
        say(f"note: {note}")
    for detour in ledger["detours"]:
        source = f"read from {detour['used']} at try {detour['attempts']}"
        say(f"{_entries(detour)}: {source}; first: {detour['error']}")
    for failure in ledger["failed"]:
        tries = "1 try" if failure["attempts"] == 1 else f"{failure['attempts']} tries"
        say(f"{_entries(failure)}: FAILED after {tries}: {failure['error']}")
    say(
        f"{ledger['processed_events']:,} of {ledger['expected_events']:,} events "
        f"in {metrics.get('run_s', metrics['wall_s']):.1f} s "
        f"({metrics['wall_s']:.1f} s for the chunks, {metrics['events_per_s']:,.0f} events/s); "
        f"results in {run.path}"
    )
    if metrics["chunks_not_kept"]:
        say(
            f"note: {counted(metrics['chunks_not_kept'], 'finished chunk')} could not be saved for "
            "--resume; give a folder that the workers can write to with --checkpoints"
        )
    if partial:
        share = results.processed_share(ledger)
        say(f"PARTIAL: the run covers {share} of its datasets; its results are preliminary")
    if not ledger["complete"]:
        say("INCOMPLETE: the results lack the failed entries; repeat the run with --resume")


def print_blinding(run: results.RunFolder) -> None:
    """Print whether a run with data is blind, and in which windows."""
    if text := results.blinding_in_words(run):
        say(text)


def note_missing_events(run: results.RunFolder) -> None:
    """Print a note if a run is incomplete, and one if it is partial."""
    if not run.complete:
        say(f"note: the run is incomplete; see: bphcoffea status {run.path}")
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
        for name, total in list(totals.items())[:most]:
            table.add_row(
                name,
                f"{total['events']:,}",
                f"{total['wall_s']:.1f}",
                f"{total['input_s'] / total['wall_s']:.0%}",
                f"{total['bytes_per_s'] / 1e6:.1f}",
                f"{total['cpu_fraction']:.0%}",
            )
        console.print(table)


def _entries(entry: Mapping[str, Any]) -> str:
    place = f"dataset '{entry['dataset']}', {entry['file']}"
    if entry["stop"] is None:
        return f"{place}, all entries"
    return f"{place}, entries {entry['start']}-{entry['stop']}"
