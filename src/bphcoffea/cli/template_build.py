"""``bphcoffea template build`` and ``check``: models from the histograms of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bphcoffea import results, statistics
from bphcoffea.cli.arguments import suggesting
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import counted, new_table, say, show_table
from bphcoffea.rounding import with_error

#: Findings of one kind that are printed; the others are in ``preparation.json``.
SHOWN = 5
Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="TOML of a model, or folder of a run whose analysis declares one."
    ),
]
Name = Annotated[
    str | None, typer.Option("--name", help="Name of the template fit, if there are several.")
]
Unblind = Annotated[bool, typer.Option("--unblind", help="Use the data of blind regions and bins.")]


def build(
    model: Model,
    name: Name = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the new files; by default beside the TOML, or in the run.",
        ),
    ] = None,
    unblind: Unblind = False,
) -> None:
    """Build a template model: a workspace of pyhf, a datacard of Combine, and its preparation."""
    built, runs = _built(model, name, unblind=unblind)
    if output is None and model.is_dir():
        written = built.write_into_run(runs[0])
    else:
        written = built.write(output or model.with_suffix(""))
    show_table(_yields(built))
    parameters = built.model.nuisances
    say(f"{counted(len(parameters), 'nuisance parameter')}; free: {', '.join(built.model.bounds)}")
    if built.model.blinded:
        say("blind: the expectation takes the place of data (see --unblind)")
    _print_findings(built.findings)
    say(f"{counted(len(built.prepared.steps), 'step')} of preparation, see preparation.json")
    say(f"model: {written / 'workspace.json'}")
    for run in runs:
        note_missing_events(run)


def check(model: Model, name: Name = None) -> None:
    """List what is probably wrong with the templates of a model, also of one that was built."""
    if model.is_dir() and not (model / "ledger.json").is_file():
        findings = statistics.findings_of(model)
    else:
        findings = list(_built(model, name, unblind=False)[0].findings)
    _print_findings(findings, shown=None)


def _built(
    model: Path, name: str | None, *, unblind: bool
) -> tuple[statistics.BuiltModel, list[results.RunFolder]]:
    if model.is_dir():
        run = results.RunFolder(model)
        fit, runs = statistics.declared_model(run, name), [run]
    else:
        fit, runs = statistics.load_model_file(model)
    with suggesting({statistics.StillBlindError: " (run --unblind)"}):
        return statistics.build_model(fit, runs, unblind=unblind), runs


def _yields(built: statistics.BuiltModel) -> Table:
    """Return the table of expected and observed events by channel and process."""
    processes = list(built.collection.processes)
    title = "expected events and their statistical uncertainty"
    table = new_table("channel", *processes, "data", title=title)
    for channel, expected, data in built.yields():
        cells = [
            with_error(*expected[process]) if process in expected else "–" for process in processes
        ]
        table.add_row(channel, *cells, "blind" if data is None else f"{data:g}")
    return table


def _print_findings(
    findings: tuple[statistics.Finding, ...] | list[statistics.Finding], shown: int | None = SHOWN
) -> None:
    """Print the findings by kind, at most some of each."""
    for kind in dict.fromkeys(finding.kind for finding in findings):
        of_kind = [finding for finding in findings if finding.kind == kind]
        for finding in of_kind[:shown]:
            say(f"{finding}")
        if shown is not None and len(of_kind) > shown:
            say(f"{kind}: {len(of_kind) - shown} more; list all with: bphcoffea template check")
    say(f"{counted(len(findings), 'finding')} of the checks" if findings else "checks: no findings")
