"""The command line: ``bphcoffea`` and ``python -m bphcoffea``.

Exit status: 0 complete, 1 a bug, 2 wrong usage or bad input, 3 the run is incomplete.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from bphcoffea import __version__
from bphcoffea.errors import InputError
from bphcoffea.terminal import (
    console,
    note_what_is_missing,
    print_cutflow,
    print_fit,
    print_ledger,
    print_slowest,
    report_written,
    say,
)

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
fileset_app = typer.Typer(no_args_is_help=True, help="Make and check filesets.")
app.add_typer(fileset_app, name="fileset")
facility_app = typer.Typer(no_args_is_help=True, help="Places where analyses run.")
app.add_typer(facility_app, name="facility")


Executor = Literal["iterative", "futures", "dask"]
AnalysisName = Annotated[
    str,
    typer.Argument(
        metavar="ANALYSIS",
        help="Name of a file in processors/, or a path: my/analysis.py or my/analysis.py:Class.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write.")]
RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", metavar="GLOB", help="Only datasets that match; may be repeated."),
]
ExecutorOption = Annotated[Executor, typer.Option(help="What runs the chunks.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Number of processes; one a core by default.")
]


FacilityName = Annotated[
    str, typer.Argument(metavar="FACILITY", help="A name that `facility list` shows, or a .toml.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDR", help="A Dask scheduler that runs already: tcp://host:port."),
]
ProxyLifetime = Annotated[
    float,
    typer.Option(
        "--min-proxy-lifetime", min=0, metavar="H", help="Hours that the grid proxy must have left."
    ),
]


@app.callback()
def callback(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version, and nothing else.")
    ] = False,
) -> None:
    """Columnar analyses of rare flavour decays, from a fileset JSON to a fitted yield."""
    if version:
        say(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; bad input ends in one clear line a problem and status 2."""
    try:
        app()
    except InputError as error:
        for line in str(error).splitlines():
            print(f"bphcoffea: error: {line}", file=sys.stderr)
        sys.exit(2)


@app.command()
def run(
    analysis: AnalysisName,
    fileset: Annotated[Path, typer.Argument(metavar="FILESET", help="The fileset's JSON.")],
    output: Output,
    dataset: Datasets = None,
    executor: Annotated[
        Executor | None,
        typer.Option(help="What runs the chunks; futures, or dask at a facility."),
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    facility: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Where to run: see `bphcoffea facility list`."),
    ] = None,
    chunksize: Annotated[int, typer.Option(min=1, help="Events of a chunk, about.")] = 100_000,
    max_chunks: Annotated[
        int | None, typer.Option(min=1, help="At most so many chunks of each dataset, for a try.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run into DIR was cut off.")
    ] = False,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Keep finished chunks there; by default in the cache of your home."
        ),
    ] = None,
    attempts: Annotated[
        int, typer.Option(min=1, help="How often a file is tried, at each of its places.")
    ] = 3,
    timeout: Annotated[
        int, typer.Option(min=1, metavar="S", help="How long a server may take to answer, s.")
    ] = 60,
    min_proxy_lifetime: ProxyLifetime = 1,
    stage_out: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Copy the results there: root://, davs://, a folder."),
    ] = None,
    skim: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Let the workers write what is selected there, Parquet."),
    ] = None,
    skim_of: Annotated[
        Literal["events", "candidates"], typer.Option(help="What a skim is of.")
    ] = "events",
) -> None:
    """Run an analysis over a fileset; status 3 if it could not read all of it."""
    from bphcoffea import datasets, execution
    from bphcoffea.facilities import load_facility
    from bphcoffea.storage.servers import Retries

    place = load_facility(facility) if facility else None
    storage = place.storage if place else None
    loaded = execution.load_analysis(analysis)
    files = datasets.load(fileset).select(dataset or ())
    options = execution.Options(
        executor or ("dask" if facility or scheduler else "futures"),
        workers,
        scheduler,
        chunksize,
        max_chunks,
        Retries(attempts, timeout_s=timeout),
        checkpoints=checkpoints
        or execution.default_place(output, storage.checkpoints if storage else None),
        resume=resume,
        facility=place,
        proxy_hours=min_proxy_lifetime,
        stage_out=stage_out or (storage.stage_out if storage else None),
        skim=skim,
        skim_of=skim_of,
    )
    try:
        folder = execution.run(loaded, files, output, options)
    except KeyboardInterrupt:
        hint = "; go on with the same command and --resume" if options.checkpoints else ""
        print(f"bphcoffea: interrupted{hint}", file=sys.stderr)
        raise typer.Exit(130) from None
    print_cutflow(folder)
    print_ledger(folder)
    for what, url in (("results", options.stage_out), ("skim", options.skim)):
        if url:
            say(f"{what} staged out to {url}")
    if not folder.complete:
        raise typer.Exit(3)


@app.command()
def status(directory: RunDirectory) -> None:
    """Tell what a run expected, processed and could not read; status 3 if it is incomplete."""
    from bphcoffea.execution import RunFolder

    folder = RunFolder(directory)
    print_slowest(folder.read("metrics.json"))
    print_ledger(folder)
    if not folder.complete:
        raise typer.Exit(3)


@app.command()
def fit(
    directory: RunDirectory,
    dataset: Datasets = None,
    by: Annotated[
        Literal["dataset", "era"] | None, typer.Option(help="Fit each of them by itself, too.")
    ] = None,
) -> None:
    """Fit the mass histogram of a run; writes fit.json."""
    from bphcoffea.execution import RunFolder
    from bphcoffea.inference.run import fit_run

    folder = RunFolder(directory)
    result = fit_run(folder, dataset, by)
    folder.write("fit.json", result)
    print_fit(result)
    note_what_is_missing(folder)
    if not result["valid"]:
        raise InputError(
            "\n".join(f"{directory}: the fit is not valid: {text}" for text in result["problems"])
        )


@app.command()
def plot(directory: RunDirectory) -> None:
    """Draw a run: mass with fit, cutflow, spectra, N-1 distributions; into DIR/figures."""
    from bphcoffea.execution import RunFolder
    from bphcoffea.presentation import plot_run

    folder = RunFolder(directory)
    figures = plot_run(folder)
    say(f"{len(figures)} figures in {directory / 'figures'}")
    note_what_is_missing(folder)


@app.command()
def toys(
    analysis: Annotated[str, typer.Argument(metavar="ANALYSIS", help="Such as ds_phipi.")],
    output: Output,
    events: Annotated[int, typer.Option(min=1, help="Events that look like data.")] = 200_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 1,
) -> None:
    """Make toy samples whose truth is known, and their fileset."""
    from bphcoffea.execution.folder import prepare
    from bphcoffea.toys import TOYS

    if analysis not in TOYS:
        raise InputError(f"no toys for '{analysis}'; there are: {', '.join(TOYS)}")
    fileset = TOYS[analysis](prepare(output), events, seed)
    say(f"fileset: {fileset}\ntruth:   {fileset.with_name('truth.json')}")


@app.command()
def demo(
    output: Output = Path("demo"),
    events: Annotated[int, typer.Option(min=1, help="Toy events.")] = 200_000,
    executor: ExecutorOption = "futures",
) -> None:
    """Toys, run, fit and figures of Ds → φπ, in about a minute."""
    toys("ds_phipi", output / "toys", events, 1)
    folder = output / "run"
    run("ds_phipi", output / "toys" / "fileset.json", folder, executor=executor)
    fit(folder)
    plot(folder)


@fileset_app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="JSON", help="The collaboration's JSON.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILESET")],
    prefix: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where the files are: root://host//path, before rootpath."
        ),
    ] = None,
) -> None:
    """Make a fileset from the collaboration's ad-hoc JSON."""
    from bphcoffea.datasets.importing import import_fileset

    report_written(import_fileset(source, prefix).save(output))


@fileset_app.command("build")
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
    """Make a fileset of the ROOT files in a folder, or of those that match a pattern."""
    from bphcoffea.datasets.build import build_fileset

    metadata: dict[str, Any] = {"is_mc": mc, "era": era}
    for item in meta or ():
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"--meta {item}: write KEY=VALUE")
        metadata[key] = _parsed(value)
    report_written(build_fileset(name, places, tree, metadata).save(output))


@fileset_app.command("check")
def check(
    fileset: Annotated[Path, typer.Argument(metavar="FILESET", help="The fileset's JSON.")],
    analysis: Annotated[
        str | None,
        typer.Option(help="Check for the branches that this analysis needs, too."),
    ] = None,
    dataset: Datasets = None,
    executor: ExecutorOption = "iterative",
    workers: Workers = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILESET", help="Write it with the entries of each file."
        ),
    ] = None,
) -> None:
    """Open every file: its tree, required branches, entries. Reports all problems."""
    from bphcoffea import datasets, execution
    from bphcoffea.analysis.tracing import required_branches
    from bphcoffea.datasets.check import files_of, with_entries
    from bphcoffea.execution.chunks import open_files

    files = datasets.load(fileset).select(dataset or ())
    branches = {}
    if analysis:
        loaded = execution.load_analysis(analysis)
        branches = {
            name: required_branches(loaded, known.metadata.model_dump())
            for name, known in files.root.items()
        }
    with execution.engine(executor, workers) as running:
        reports = open_files(files_of(files, branches), running)
    table = Table("dataset", "files", "entries", "problems")
    for name in files.names:
        own = [report for report in reports if report.file.dataset == name]
        entries = sum(report.entries or 0 for report in own)
        faulty = sum(bool(report.wrong) for report in own)
        table.add_row(name, str(len(own)), f"{entries:,}", str(faulty or "none"))
    console.print(table)
    if output:
        report_written(with_entries(files, reports).save(output))
    problems = [line for report in reports for line in report.lines()]
    if problems:
        raise InputError("\n".join(problems))


@facility_app.command("list")
def list_facilities() -> None:
    """The facilities there are, and where their files lie."""
    from bphcoffea.facilities import facilities_there_are, load_facility

    there = facilities_there_are()
    table = Table("facility", "kind", "what it is")
    for name, path in there.items():
        try:
            known = load_facility(str(path))
        except InputError as error:
            table.add_row(name, "?", str(error).splitlines()[0])
        else:
            table.add_row(name, known.kind, known.description)
    console.print(table)
    say("\n".join(f"{name}: {path}" for name, path in there.items()))


@facility_app.command("show")
def show_facility(facility: FacilityName) -> None:
    """All that is known of a facility, with what it leaves to the defaults."""
    from bphcoffea.facilities import load_facility

    console.print_json(load_facility(facility).model_dump_json())


@facility_app.command("check")
def check_facility(
    facility: FacilityName,
    scheduler: Scheduler = None,
    min_proxy_lifetime: ProxyLifetime = 1,
) -> None:
    """Look at proxy, certificates, redirectors, stage-out, workers and versions."""
    from bphcoffea.facilities import load_facility
    from bphcoffea.facilities.check import check
    from bphcoffea.storage.stageout import check_target

    faults = 0
    known = load_facility(facility)
    for finding in check(known, min_proxy_lifetime, scheduler, check_target):
        say(f"{'✗' if finding.fault else '✓'} {finding.what}: {finding.fault or finding.detail}")
        faults += bool(finding.fault)
    if faults:
        raise typer.Exit(2)


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
