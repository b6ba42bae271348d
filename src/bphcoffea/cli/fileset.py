"""``bphcoffea fileset``: make and check filesets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bphcoffea import datasets, execution
from bphcoffea.cli.arguments import Datasets, ExecutorOption, FilesetPaths, Workers, load_named
from bphcoffea.cli.completion import complete_analysis
from bphcoffea.cli.terminal import counted, new_table, say, show_table
from bphcoffea.documents import read_json
from bphcoffea.errors import InputError
from bphcoffea.redaction import has_secrets

app = typer.Typer(no_args_is_help=True, help="Make and check filesets.")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="JSON", help="The collaboration's JSON.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILESET")],
    prefix: Annotated[
        str | None,
        typer.Option(metavar="URL", help="URL of the files' folders: root://host//path."),
    ] = None,
    era: Annotated[
        str | None,
        typer.Option(help="Era of datasets that lack it, such as 2017B, 2018D, 2022."),
    ] = None,
) -> None:
    """Convert the collaboration's ad-hoc JSON to a fileset."""
    _report_written(datasets.import_fileset(source, prefix, era).save(output))


@app.command("build")
def build(
    places: Annotated[
        list[str],
        typer.Argument(metavar="PLACE...", help="Folders, files or patterns, local or root://."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILESET")],
    name: Annotated[str, typer.Option("--name", help="Name of the dataset.")],
    era: Annotated[str, typer.Option(help="Era, such as 2017B, 2018D, 2022.")],
    tree: Annotated[
        str, typer.Option(help="Path of the tree inside the files.")
    ] = "Tree3Mu/ntuple",
    mc: Annotated[bool, typer.Option("--mc/--data", help="Simulation or data.")] = False,
    meta: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Further metadata, such as luminosity=4.8."),
    ] = None,
) -> None:
    """Make a dataset of the ROOT files in folders, or of files that match patterns.

    The dataset is added to FILESET if that file exists.
    """
    metadata: dict[str, object] = {"is_mc": mc, "era": era}
    for item in meta or ():
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"--meta {item}: write KEY=VALUE")
        metadata[key] = _parsed(value)
    _report_written(
        datasets.add_to_fileset(
            output, lambda: datasets.build_fileset(name, places, tree, metadata), name
        )
    )


@app.command("check")
def check(
    fileset: FilesetPaths,
    analysis: Annotated[
        str | None,
        typer.Option(
            help="Also check for the branches that this analysis needs.",
            autocompletion=complete_analysis,
        ),
    ] = None,
    dataset: Datasets = None,
    executor: ExecutorOption = "iterative",
    workers: Workers = None,
    checksum: Annotated[
        bool,
        typer.Option(
            "--checksum",
            help="Compare the checksum of each file and replica with that of the fileset.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILESET",
            help="Write a fileset with the entries, and any compared checksum, of each file.",
        ),
    ] = None,
) -> None:
    """Open every file and report all problems with trees, branches and entries."""
    files = datasets.load_filesets(fileset).select(dataset or ())
    with execution.engine(executor, workers) as running:
        needs = execution.needs_of(load_named(analysis), files, running) if analysis else {}
        reports = execution.open_files(datasets.files_of(files, needs), running)
        sums = []
        if checksum:
            sums = execution.compare_checksums(datasets.files_to_compare(files), running)
    table = new_table("dataset", "files", "entries", "problems", numbers=slice(0))
    for name in files.names:
        of_dataset = [report for report in reports if report.file.dataset == name]
        entries = sum(report.entries or 0 for report in of_dataset)
        faulty = {report.file.path for report in of_dataset if report.wrong}
        faulty |= {
            report.file.path for report in sums if report.file.dataset == name and report.problems
        }
        table.add_row(name, str(len(of_dataset)), f"{entries:,}", str(len(faulty) or "none"))
    show_table(table)
    if output:
        checked = datasets.with_checksums(datasets.with_entries(files, reports), sums)
        _report_written(checked.save(output))
    compared = datasets.compare_files(files, reports, needs)
    notes = compared.notes
    if not checksum:
        notes += [f"{note} (--checksum)" for note in execution.unprotected(reports)]
    for note in notes:
        say(f"note: {note}")
    problems = [line for report in reports for line in report.lines()]
    problems += [line for report in sums for line in report.lines()] + compared.problems
    InputError.raise_for(problems)


def _report_written(path: Path) -> None:
    """Print the contents of a newly written fileset."""
    content = read_json(path)
    files = sum(len(dataset["files"]) for dataset in content.values())
    say(f"{path}: {counted(len(content), 'dataset')}, {counted(files, 'file')}")
    if has_secrets(content):
        say(f"note: {path} holds passwords or tokens in URLs, so only you may read it (mode 0600)")


def _parsed(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value
