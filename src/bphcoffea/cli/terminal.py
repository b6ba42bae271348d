"""What the command line prints: tables of a run, and lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from bphcoffea.streams import PlainConsole

if TYPE_CHECKING:
    from bphcoffea.statistics import FitRecord

console = PlainConsole()
_LEFT: dict[str, Any] = {"title_justify": "left"}


def print_cutflow(folder: Any) -> None:
    """The cutflow of each dataset of a run."""
    for dataset, steps in folder.cutflow.items():
        table = Table("step", "events", "candidates", "Σw", title=dataset, **_LEFT)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in steps:
            table.add_row(
                row["step"], f"{row['events']:,}", f"{row['candidates']:,}", f"{row['sumw']:,.6g}"
            )
        console.print(table)


def print_ledger(folder: Any) -> None:
    """What a run expected, processed and could not read."""
    ledger, metrics = folder.read("ledger.json"), folder.read("metrics.json")
    partial = folder.partial
    columns = ("in all", "expected", "processed", "missing")[0 if partial else 1 :]
    table = Table("dataset", *columns, title="events", **_LEFT)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, counts in ledger["datasets"].items():
        expected, processed = counts["expected_events"], counts["processed_events"]
        missing = [f"{expected - processed:,}"] if processed != expected else []
        if counts["uncounted_files"]:
            missing.append(_count(counts["uncounted_files"], "whole file"))
        row = [f"{expected:,}", f"{processed:,}", " + ".join(missing) or "none"]
        if partial:
            in_all = counts["dataset_events"]
            row.insert(0, "?" if in_all is None else f"{in_all:,}")
        table.add_row(name, *row)
    console.print(table)
    for note in ledger.get("notes", ()):
        say(f"note: {note}")
    for detour in ledger["detours"]:
        how = f"read from {detour['used']} at try {detour['attempts']}"
        say(f"{_entries(detour)}: {how}; first: {detour['error']}")
    for failure in ledger["failed"]:
        tries = "1 try" if failure["attempts"] == 1 else f"{failure['attempts']} tries"
        say(f"{_entries(failure)}: FAILED after {tries}: {failure['error']}")
    say(
        f"{ledger['processed_events']:,} of {ledger['expected_events']:,} events "
        f"in {metrics['wall_s']:.1f} s ({metrics['events_per_s']:,.0f} events/s); "
        f"results in {folder.path}"
    )
    if metrics["chunks_not_kept"]:
        say(
            f"note: {_count(metrics['chunks_not_kept'], 'finished chunk')} could not be kept for "
            "--resume; name a place that the workers can write to with --checkpoints"
        )
    if partial:
        say(f"PARTIAL: the run covers {_asked_for(ledger)} of its datasets; its results are a try")
    if not ledger["complete"]:
        say("INCOMPLETE: the results lack what failed above; go on with the same run and --resume")


def print_blinding(folder: Any) -> None:
    """Print in one line whether a run with data is blind, and in which windows."""
    from bphcoffea.physics.windows import in_words

    blind = folder.analysis.blind
    if blind is None or all(known.is_mc for known in folder.fileset_metadata.values()):
        return
    if not folder.hidden:
        variable = blind.variable
        say(f"NOT BLIND: the results include data at all values of {variable}")
        return
    where = in_words(folder.hidden, blind.unit)
    if blind.by_category:
        own = (f"{in_words(each)} ({name})" for name, each in blind.by_category.items())
        where = f"{', '.join(own)} {blind.unit}"
    masses = f" (masses {', '.join(f'{m:g}' for m in blind.masses)})" if blind.masses else ""
    say(f"BLIND: data with {blind.variable} in {where} are left out of the results{masses}")


def print_luminosity(folder: Any) -> None:
    """The luminosity of the data that a run has processed."""
    content = folder.read("luminosity.json")
    if not content["datasets"]:
        return
    table = Table("dataset", "sections", "certified", "fb⁻¹", "from", title="luminosity", **_LEFT)
    for column in table.columns[1:4]:
        column.justify = "right"
    notes = []
    for name, known in content["datasets"].items():
        certified = "–" if known["certified"] is None else f"{known['certified']:,}"
        luminosity = "?" if known["luminosity"] is None else f"{known['luminosity']:.6g}"
        source = known["source"] or "unknown: give a luminosity, or a table of brilcalc"
        if known["luminosity"] is not None:
            source = Path(source).name
        if known["source"] == "fileset" and known["processed"] != 1:
            source += f", times the {known['processed']:.2%} that were processed"
        if known.get("prescale", 1) != 1:
            source += f", over the prescale of {known['prescale']:g}"
        table.add_row(name, f"{known['sections']:,}", certified, luminosity, source)
        beyond = known.get("not_in_table") or {}
        if beyond:
            count = sum(last - first + 1 for ranges in beyond.values() for first, last in ranges)
            notes.append(
                f"note: dataset '{name}': {_count(count, 'section')} of "
                f"{_count(len(beyond), 'run')} not in the table ({_some(beyond)})"
            )
    if content["luminosity"] is not None and len(content["datasets"]) > 1:
        shared = "sections of several datasets count once" if content["sections_shared"] else ""
        table.add_row("all", "", "", f"{content['luminosity']:.6g}", shared, style="bold")
    console.print(table)
    for note in notes:
        say(note)


def print_normalisation(folder: Any) -> None:
    """How simulation is scaled to the data."""
    content = folder.normalisation
    if all(known.cross_section is None for known in content.values()):
        return
    table = Table(
        "simulation", "σ [pb]", "ε", "Σw", "fb⁻¹", "scale", title="normalisation", **_LEFT
    )
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.justify = "right"
    for name, known in content.items():
        efficiency = known.filter_efficiency * known.skim_efficiency
        numbers = [known.cross_section, efficiency, known.generator_sumw]
        numbers += [known.luminosity, known.scale]
        table.add_row(name, *("?" if n is None else f"{n:,.5g}" for n in numbers))
    console.print(table)
    notes: dict[str, list[str]] = {}
    for name, known in content.items():
        for note in known.notes:
            notes.setdefault(note, []).append(name)
    for note, names in notes.items():
        say(f"note: {', '.join(names)}: {note}")


def _some(ranges: dict[str, list[list[int]]], most: int = 3) -> str:
    runs = [f"{run}: {first}-{last}" for run, [(first, last), *_] in ranges.items()]
    return ", ".join(runs[:most]) + (", …" if len(runs) > most else "")


def note_what_is_missing(folder: Any) -> None:
    """Write a line where a run is incomplete, and one where it is partial."""
    if not folder.complete:
        say(f"note: the run is incomplete; see: bphcoffea status {folder.path}")
    if folder.partial:
        part = _asked_for(folder.read("ledger.json"))
        say(
            f"note: the run {folder.path} is partial: {part} of its datasets; its results are a try"
        )


def _asked_for(ledger: dict[str, Any]) -> str:
    """Which part of the events of the datasets a run asked for, in words."""
    counts = ledger["datasets"].values()
    lengths = [count["dataset_events"] for count in counts]
    if None in lengths or not sum(lengths):
        return "an unknown part of the events"
    part = sum(count["expected_events"] for count in counts) / sum(lengths)
    return f"{part:.3%} of the events" if part < 0.01 else f"{part:.1%} of the events"


def print_slowest(metrics: dict[str, Any], most: int = 5) -> None:
    """Where the time of a run went: its sites, and its slowest files."""
    for kind, title in (("by_site", "sites"), ("by_file", "slowest files")):
        tallies = metrics[kind]
        if len(tallies) < 2:
            continue
        table = Table(title, "events", "s", "in input", "MB/s", "CPU")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, tally in list(tallies.items())[:most]:
            table.add_row(
                name,
                f"{tally['events']:,}",
                f"{tally['wall_s']:.1f}",
                f"{tally['input_s'] / tally['wall_s']:.0%}",
                f"{tally['bytes_per_s'] / 1e6:.1f}",
                f"{tally['cpu_fraction']:.0%}",
            )
        console.print(table)


def _entries(entry: dict[str, Any]) -> str:
    where = f"dataset '{entry['dataset']}', {entry['file']}"
    if entry["stop"] is None:
        return f"{where}, all entries"
    return f"{where}, entries {entry['start']}-{entry['stop']}"


def print_fit(record: FitRecord) -> None:
    """Print the parameters and the goodness of a fit."""
    table = Table("parameter", "value", "error", "unit", title="mass fit", **_LEFT)
    for name, parameter in record.parameters.items():
        error = "–" if parameter.error is None else f"{parameter.error:.4g}"
        error = "fixed" if parameter.fixed else error
        table.add_row(name, f"{parameter.value:.6g}", error, parameter.unit)
    console.print(table)
    fit = record.fit
    if fit.p_value is not None:
        say(f"χ²/ndof = {fit.chi2:.1f}/{fit.ndof}, p-value {fit.p_value:.2g}")
    for note in fit.notes:
        say(f"note: {note}")
    for peak, of_peak in record.simulation.items():
        names = ", ".join(of_peak.datasets)
        for text in of_peak.fit.problems:
            say(f"note: simulation of {peak} ({names}) is not fitted: {text}")
    for text in record.alternative.fit.problems if record.alternative else ():
        say(f"note: the alternative model is not valid: {text}")


def print_training(result: dict[str, Any]) -> None:
    """Print how well a trained classifier separates, and the bins of its score."""
    say(f"trained on {result['signal']:,} signal and {result['sidebands']:,} sideband candidates")
    train, test = result["auc"]["train"], result["auc"]["test"]
    say(f"AUC {test:.4f} ({train:.4f} for candidates that were seen in training)")
    shares = sorted(result["importances"].items(), key=lambda each: -each[1])
    say(f"importances: {', '.join(f'{name} {100 * share:.0f}%' for name, share in shares)}")
    correlation = result["correlation_with_mass"]["all"]
    say(f"rank correlation of score and mass in the sidebands: {correlation:+.3f}")
    table = Table("category", "from score", "signal", "sidebands", title="Bins", **_LEFT)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, bins in result["bins"].items():
        rows = zip(bins["edges"], bins["signal_fractions"], bins["sidebands"], strict=True)
        for number, (edge, fraction, count) in enumerate(reversed(list(rows)), 1):
            category = f"{'' if name == 'all' else name}{number}"
            table.add_row(category, f"{edge:g}", f"{100 * fraction:.1f}%", f"{count:,}")
    console.print(table)
    for note in result["notes"]:
        say(f"note: {note}")


def print_checkpoints(found: Iterable[Any]) -> None:
    """Print the checkpoints that runs have left, with what is known of these runs."""
    table = Table("analysis", "run", "age", "size")
    for kept in found:
        age, size = f"{kept.age_days:.1f} days", f"{kept.size / 1e6:,.1f} MB"
        table.add_row(kept.analysis, kept.state, age, size)
        say(f"{kept.place}: checkpoints of {kept.results}")
    console.print(table)


def note_old_checkpoints(place: str | None) -> None:
    """Point out in one line that checkpoints of old runs lie at a place."""
    from bphcoffea.errors import InputError
    from bphcoffea.execution.checkpoint_folders import OLD_DAYS, kept_at

    if place is None:
        return
    try:
        old = [kept for kept in kept_at(place, OLD_DAYS) if kept.state != "running"]
    except InputError:  # the run itself says what is wrong with the place
        return
    if old:
        size = sum(kept.size for kept in old) / 1e6
        say(
            f"note: {place}: checkpoints of {_count(len(old), 'run')} that began more than "
            f"{OLD_DAYS} days ago, {size:,.1f} MB; see: bphcoffea clean --checkpoints {place}"
        )


def report_written(path: Path) -> None:
    """What a fileset that was written holds."""
    from bphcoffea.documents import read_json
    from bphcoffea.redaction import has_secrets

    content = read_json(path)
    files = sum(len(dataset["files"]) for dataset in content.values())
    say(f"{path}: {_count(len(content), 'dataset')}, {_count(files, 'file')}")
    if has_secrets(content):
        say(f"note: {path} holds passwords or tokens in URLs, so only you may read it (mode 0600)")


def say(text: str) -> None:
    """A text, as it is."""
    # paths stay whole, to be copied
    console.print(text, soft_wrap=True, highlight=False)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def show(lines: Iterable[str | Table]) -> None:
    """Print lines and tables."""
    for line in lines:
        if isinstance(line, str):
            say(line)
        else:
            console.print(line)
