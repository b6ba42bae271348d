"""Commands that make and check filesets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bphcoffea.cli.analyses import load_named
from bphcoffea.cli.arguments import Datasets, ExecutorOption, Workers
from bphcoffea.cli.terminal import console, report_written, say
from bphcoffea.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Make and check filesets.")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="JSON", help="The collaboration's JSON.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILESET")],
    prefix: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where the files are: root://host//path, before their folders."
        ),
    ] = None,
    era: Annotated[
        str | None,
        typer.Option(help="Of the datasets that don't tell it, such as 2017B, 2018D, 2022."),
    ] = None,
) -> None:
    """Make a fileset from the collaboration's ad-hoc JSON."""
    from bphcoffea.datasets.importing import import_fileset

    report_written(import_fileset(source, prefix, era).save(output))


@app.command("build")
def build(
    places: Annotated[
        list[str],
        typer.Argument(metavar="PLACE…", help="Folders, files or patterns, local or root://."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILESET")],
    name: Annotated[str, typer.Option("--name", help="The dataset's name.")],
    era: Annotated[str, typer.Option(help="Such as 2017B, 2018D, 2022.")],
    tree: Annotated[str, typer.Option(help="Path of the tree in the files.")] = "Tree3Mu/ntuple",
    mc: Annotated[bool, typer.Option("--mc/--data", help="Simulation or data.")] = False,
    meta: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="More metadata, such as luminosity=4.8."),
    ] = None,
) -> None:
    """Make a dataset of the ROOT files in a folder, or of those that match a pattern.

    It is added to the fileset if there is one already.
    """
    from bphcoffea.datasets.build import add_to_fileset, build_fileset

    metadata: dict[str, Any] = {"is_mc": mc, "era": era}
    for item in meta or ():
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"--meta {item}: write KEY=VALUE")
        metadata[key] = _parsed(value)
    report_written(
        add_to_fileset(output, lambda: build_fileset(name, places, tree, metadata), name)
    )


@app.command("check")
def check(
    fileset: Annotated[
        list[Path], typer.Argument(metavar="FILESET...", help="JSON files of filesets.")
    ],
    analysis: Annotated[
        str | None,
        typer.Option(help="Check for the branches that this analysis needs, too."),
    ] = None,
    dataset: Datasets = None,
    executor: ExecutorOption = "iterative",
    workers: Workers = None,
    checksum: Annotated[
        bool,
        typer.Option(
            "--checksum", help="Compare the checksum of each file and replica with the fileset's."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILESET",
            help="Write it with the entries of each file, and the checksum if compared.",
        ),
    ] = None,
) -> None:
    """Open every file: its tree, required branches, entries. Reports all problems."""
    from bphcoffea import datasets, execution
    from bphcoffea.datasets.checksums import files_to_compare, with_checksums
    from bphcoffea.datasets.file_check import files_of, with_entries
    from bphcoffea.datasets.file_differences import compare_files
    from bphcoffea.execution.chunks import compare_checksums, open_files, unprotected
    from bphcoffea.processing.tracing import branch_needs

    files = datasets.load_filesets(fileset).select(dataset or ())
    needs = {}
    if analysis:
        loaded = load_named(analysis)
        needs = {
            name: branch_needs(loaded, known.metadata.model_dump())
            for name, known in files.root.items()
        }
    with execution.engine(executor, workers) as running:
        reports = open_files(files_of(files, needs), running)
        sums = compare_checksums(files_to_compare(files), running) if checksum else []
    table = Table("dataset", "files", "entries", "problems")
    for name in files.names:
        own = [report for report in reports if report.file.dataset == name]
        entries = sum(report.entries or 0 for report in own)
        faulty_files = {report.file.path for report in own if report.wrong}
        faulty_files |= {
            report.file.path for report in sums if report.file.dataset == name and report.problems
        }
        faulty = len(faulty_files)
        table.add_row(name, str(len(own)), f"{entries:,}", str(faulty or "none"))
    console.print(table)
    if output:
        known = with_checksums(with_entries(files, reports), sums)
        report_written(known.save(output))
    compared = compare_files(files, reports, needs)
    unchecked = [] if checksum else [f"{note} (--checksum)" for note in unprotected(reports)]
    for note in (*compared.notes, *unchecked):
        say(f"note: {note}")
    problems = [line for report in reports for line in report.lines()]
    problems += [line for report in sums for line in report.lines()] + compared.problems
    if problems:
        raise InputError("\n".join(problems))


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
