"""Commands that make a run, and work with its folder."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import typer

from bphcoffea.cli.analyses import load_named
from bphcoffea.cli.arguments import (
    AnalysisName,
    CheckpointPlace,
    CorrectionFiles,
    Datasets,
    DerivedOutput,
    Executor,
    Output,
    Overwrite,
    ProxyLifetime,
    RunDirectory,
    Scheduler,
    Workers,
    elsewhere,
)
from bphcoffea.cli.terminal import (
    note_old_checkpoints,
    note_what_is_missing,
    print_blinding,
    print_cutflow,
    print_fit,
    print_ledger,
    print_luminosity,
    print_normalisation,
    print_slowest,
    print_training,
    say,
)
from bphcoffea.errors import InputError
from bphcoffea.progress import progress
from bphcoffea.storage.disks import UnwritableError
from bphcoffea.storage.manifest import OccupiedError

app = typer.Typer()


@app.command()
def run(
    analysis: AnalysisName,
    fileset: Annotated[
        list[Path], typer.Argument(metavar="FILESET...", help="JSON files of filesets.")
    ],
    output: Output,
    dataset: Datasets = None,
    corrections: CorrectionFiles = None,
    classifier: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML", help="Split the categories in bins of its score; `train` makes one."
        ),
    ] = None,
    nominal: Annotated[
        bool, typer.Option("--nominal", help="Without the systematic variations.")
    ] = False,
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
    overwrite: Overwrite = False,
    checkpoints: CheckpointPlace = None,
    attempts: Annotated[
        int, typer.Option(min=1, help="How often a file is tried, at each of its places.")
    ] = 3,
    timeout: Annotated[
        int,
        typer.Option(
            min=1, metavar="S", help="How long a server or scheduler may take to answer, s."
        ),
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
    mass: Annotated[
        list[float] | None,
        typer.Option(
            metavar="GEV",
            help="Also hide data around this mass; may be repeated. Those of signal are hidden.",
        ),
    ] = None,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Hide no data that the analysis declares blind.")
    ] = False,
) -> None:
    """Run an analysis over a fileset; status 3 if it could not read all of it."""
    from bphcoffea import datasets, execution
    from bphcoffea.analysis import load_classifier
    from bphcoffea.corrections import load_corrections
    from bphcoffea.facilities import load_facility
    from bphcoffea.storage.servers import Retries

    place = load_facility(facility) if facility else None
    storage = place.storage if place else None
    loaded = load_named(analysis)
    loaded = loaded.corrected(load_corrections(corrections or ()), nominal_only=nominal)
    if classifier is not None:
        loaded = loaded.classified(load_classifier(classifier))
    everything = datasets.load_filesets(fileset)
    files = everything.select(dataset or ())
    try:
        loaded = execution.blinded(loaded, files, mass or (), unblind=unblind, signals=everything)
    except execution.NothingToHideError as error:
        raise InputError(f"{error} (--mass), or hide nothing (--unblind)") from None
    options = execution.Options(
        executor or ("dask" if facility or scheduler else "futures"),
        workers,
        scheduler,
        chunksize,
        max_chunks,
        Retries(attempts, timeout_s=timeout),
        checkpoints=checkpoints
        or (storage.checkpoints if storage else None)
        or execution.default_place(),
        resume=resume,
        overwrite=overwrite,
        facility=place,
        proxy_hours=min_proxy_lifetime,
        stage_out=stage_out or (storage.stage_out if storage else None),
        skim=skim,
        skim_of=skim_of,
    )
    if resume and options.checkpoints is None:
        raise InputError("to resume a run, say with --checkpoints where its checkpoints are")
    note_old_checkpoints(options.checkpoints)
    try:
        folder = execution.run(loaded, files, output, options)
    except OccupiedError as error:
        raise InputError(f"{error} (--overwrite)") from None
    except UnwritableError as error:
        hint = "; then give the same command with --resume" if options.checkpoints else ""
        raise InputError(f"{error}{hint}") from None
    except KeyboardInterrupt as interrupt:
        if options.checkpoints:
            interrupt.add_note("go on with the same command and --resume")
        raise
    print_cutflow(folder)
    print_luminosity(folder)
    print_normalisation(folder)
    print_ledger(folder)
    print_blinding(folder)
    for what, url in (("results", options.stage_out), ("skim", options.skim)):
        if url:
            say(f"{what} staged out to {url}")
    if not folder.complete:
        raise typer.Exit(3)


@app.command()
def status(directory: RunDirectory) -> None:
    """Tell what a run expected, processed and could not read; status 3 if it is incomplete."""
    from bphcoffea.results import RunFolder

    folder = RunFolder(directory)
    print_slowest(folder.read("metrics.json"))
    print_ledger(folder)
    print_blinding(folder)
    if not folder.complete:
        raise typer.Exit(3)


@app.command()
def fit(
    directory: RunDirectory,
    dataset: Datasets = None,
    by: Annotated[
        Literal["dataset", "era", "year"] | None,
        typer.Option(help="Also fit each of them by itself."),
    ] = None,
    output: DerivedOutput = None,
) -> None:
    """Fit the mass histogram of a run; writes fit.json, or fit-GLOB.json of some datasets alone."""
    from bphcoffea.results import RunFolder
    from bphcoffea.results.folder import file_name
    from bphcoffea.statistics import StillBlindError, fit_mass

    folder = RunFolder(directory, output)
    try:
        record = fit_mass(folder, dataset, by)
    except StillBlindError as error:
        raise InputError(f"{error} (run --unblind)") from None
    print_fit(record)
    name = f"fit-{file_name(','.join(dataset))}.json" if dataset else "fit.json"
    with elsewhere():
        say(f"fit: {folder.write(name, record.as_json())}")
    note_what_is_missing(folder)
    if not record.fit.valid:
        raise InputError(
            "\n".join(f"{directory}: the fit is not valid: {text}" for text in record.fit.problems)
        )


@app.command()
def train(
    directory: RunDirectory,
    output: Output,
    folds: Annotated[int, typer.Option(min=2, help="Number of models.")] = 5,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME",
            help="Column of the tables to train on; may be repeated. By default all that serve.",
        ),
    ] = None,
    bins: Annotated[
        int, typer.Option(min=1, help="Bins of the score in each category, chosen by Σ s²/b.")
    ] = 2,
    edges: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CATEGORY=LOW,…",
            help="Lower edges of a category's bins (all=… without categories), not the best ones.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 0,
) -> None:
    """Train a classifier on the signal and the data sidebands of a run, for `run --classifier`."""
    from bphcoffea.presentation.style import Heading
    from bphcoffea.presentation.training_figures import plot_training
    from bphcoffea.results import RunFolder
    from bphcoffea.training import train_run

    folder = RunFolder(directory)
    given = dict(_edges(text) for text in edges or ())
    training = train_run(folder, inputs or (), folds=folds, bins=bins, edges=given, seed=seed)
    classifier = training.write(output)
    datasets = folder.datasets
    data = [datasets[name] for name in datasets.data]
    plot_training(training, Heading.of(data), output)
    print_training(training.as_json())
    say(f"classifier: {classifier.source}")
    note_what_is_missing(folder)


def _edges(text: str) -> tuple[str, tuple[float, ...]]:
    category, _, values = text.rpartition("=")
    try:
        edges = tuple(float(value) for value in values.split(","))
    except ValueError:
        edges = ()
    ascending = all(low < high for low, high in pairwise(edges))
    if not category or not edges or not ascending or edges[0] < 0 or edges[-1] >= 1:
        raise InputError(
            f"--edges {text}: write CATEGORY=LOW,… with ascending edges from 0 on and below 1"
        )
    return category, edges


@app.command()
def lumi(
    directory: RunDirectory,
    table: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Of `brilcalc lumi --byls --output-style csv`."),
    ] = None,
    golden: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="The certified sections of the run, if they were moved."),
    ] = None,
    uncertainty: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of the luminosity, relative.")
    ] = None,
) -> None:
    """Tell the luminosity of what a run has processed, and how simulation is scaled to it.

    With a table it is looked up anew, and kept in the run's folder. The certified sections must be
    those with which the data were selected.
    """
    from bphcoffea.results import RunFolder
    from bphcoffea.results.renormalisation import renormalise

    folder = RunFolder(directory)
    if table or golden or uncertainty is not None:
        renormalise(folder, golden, table, uncertainty)
    print_luminosity(folder)
    print_normalisation(folder)
    note_what_is_missing(folder)


@app.command()
def plot(
    directory: RunDirectory,
    shapes: Annotated[
        bool,
        typer.Option("--shapes", help="Scale simulation to the data, whatever its cross section."),
    ] = False,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Also draw the data that the analysis blinds.")
    ] = False,
    fileset: Annotated[
        Path | None,
        typer.Option(metavar="FILESET", help="Take the datasets' labels from this, as it is now."),
    ] = None,
    analysis: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Take labels, units, log_y, resonances, title from this analysis as it is now.",
        ),
    ] = None,
    output: DerivedOutput = None,
) -> None:
    """Draw a run: mass with fit, cutflow, spectra, N-1 distributions; into DIR/figures."""
    from bphcoffea import datasets
    from bphcoffea.presentation import Labels, plot_run
    from bphcoffea.results import RunFolder
    from bphcoffea.statistics import StillBlindError

    folder = RunFolder(directory, output)
    labels = Labels.of(
        folder,
        datasets.load_fileset(fileset) if fileset else None,
        load_named(analysis) if analysis else None,
    )
    notes: list[str] = []
    try:
        with elsewhere(), progress(None, "Drawing", "histogram") as bar:
            figures = plot_run(
                folder,
                shapes=shapes,
                unblind=unblind,
                labels=labels,
                note=notes.append,
                progress=bar.update,
            )
    except StillBlindError as error:
        raise InputError(f"{error} (run --unblind)") from None
    for line in notes:
        say(f"note: {line}")
    say(f"{len(figures)} figures in {folder.output / 'figures'}")
    note_what_is_missing(folder)


@app.command()
def toys(
    analysis: Annotated[str, typer.Argument(metavar="ANALYSIS", help="Such as ds_phipi.")],
    output: Output,
    events: Annotated[int, typer.Option(min=1, help="Events that look like data.")] = 200_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Make toy samples whose truth is known, and their fileset."""
    from bphcoffea.storage.manifest import claimed, replacing
    from bphcoffea.toys import TOYS

    if analysis not in TOYS:
        raise InputError(f"no toys for '{analysis}'; there are: {', '.join(TOYS)}")
    kind, last = "toys", "fileset.json"
    try:
        with (
            claimed(output, kind, last, overwrite=overwrite) as folder,
            replacing(folder, kind, last=last) as temporary,
            progress(None, "Making toys", "file") as bar,
        ):
            made = TOYS[analysis](temporary, events, seed, progress=bar.update)
    except OccupiedError as error:
        raise InputError(f"{error} (--overwrite)") from None
    fileset = output / made.name
    say(f"fileset: {fileset}\ntruth:   {fileset.with_name('truth.json')}")
