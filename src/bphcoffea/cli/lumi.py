"""``bphcoffea lumi``: luminosity of the data, and the scale of simulation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bphcoffea import results
from bphcoffea.cli.arguments import RunDirectory
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import counted, new_table, say, show_table


def lumi(
    directory: RunDirectory,
    table: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Output of `brilcalc lumi --byls --output-style csv`."),
    ] = None,
    golden: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="Certified sections of the run, if the file was moved."),
    ] = None,
    uncertainty: Annotated[
        float | None, typer.Option(min=0, max=1, help="Relative uncertainty of the luminosity.")
    ] = None,
) -> None:
    """Show the luminosity of what a run has processed, and how simulation is scaled to it.

    With a table the luminosity is looked up again, and kept in the run's folder. The certified
    sections must be those with which the data were selected.
    """
    run = results.RunFolder(directory)
    if table or golden or uncertainty is not None:
        results.renormalise(run, golden, table, uncertainty)
    _print_luminosity(run)
    _print_normalisation(run)
    print_notes(run)
    note_missing_events(run)


def print_notes(run: results.RunFolder) -> None:
    """Print what is doubtful about the luminosity of the data and the scale of the simulation."""
    for name, entry in run.read("luminosity.json")["datasets"].items():
        missing = entry.get("not_in_table") or {}
        if missing:
            count = sum(last - first + 1 for ranges in missing.values() for first, last in ranges)
            say(
                f"note: dataset '{name}': {counted(count, 'section')} of "
                f"{counted(len(missing), 'run')} not in the table ({_first_ranges(missing)})"
            )
    records = run.normalisation
    if all(record.cross_section is None for record in records.values()):
        return
    names_by_note: dict[str, list[str]] = {}
    for name, record in records.items():
        for note in record.notes:
            names_by_note.setdefault(note, []).append(name)
    for note, names in names_by_note.items():
        say(f"note: {', '.join(names)}: {note}")


def _print_luminosity(run: results.RunFolder) -> None:
    content = run.read("luminosity.json")
    if not content["datasets"]:
        return
    headers = ("dataset", "sections", "certified", "fb⁻¹", "from")
    table = new_table(*headers, title="luminosity", numbers=slice(1, 4))
    for name, entry in content["datasets"].items():
        certified = "–" if entry["certified"] is None else f"{entry['certified']:,}"
        luminosity = "?" if entry["luminosity"] is None else f"{entry['luminosity']:.6g}"
        source = entry["source"] or "unknown: give a luminosity, or a table of brilcalc"
        if entry["luminosity"] is not None:
            source = Path(source).name
        if entry["source"] == "fileset" and entry["processed"] != 1:
            source += f", times the {entry['processed']:.2%} that were processed"
        if entry.get("prescale", 1) != 1:
            source += f", over the prescale of {entry['prescale']:g}"
        table.add_row(name, f"{entry['sections']:,}", certified, luminosity, source)
    if content["luminosity"] is not None and len(content["datasets"]) > 1:
        shared = "sections of several datasets count once" if content["sections_shared"] else ""
        table.add_row("all", "", "", f"{content['luminosity']:.6g}", shared, style="bold")
    show_table(table)


def _print_normalisation(run: results.RunFolder) -> None:
    records = run.normalisation
    if all(record.cross_section is None for record in records.values()):
        return
    table = new_table("simulation", "σ [pb]", "ε", "Σw", "fb⁻¹", "scale", title="normalisation")
    for name, record in records.items():
        efficiency = record.filter_efficiency * record.skim_efficiency
        numbers = [record.cross_section, efficiency, record.generator_sumw]
        numbers += [record.luminosity, record.scale]
        table.add_row(name, *("?" if n is None else f"{n:,.5g}" for n in numbers))
    show_table(table)


def _first_ranges(ranges: Mapping[str, list[list[int]]], most: int = 3) -> str:
    runs = [f"{run}: {first}-{last}" for run, [(first, last), *_] in ranges.items()]
    return ", ".join(runs[:most]) + (", …" if len(runs) > most else "")
