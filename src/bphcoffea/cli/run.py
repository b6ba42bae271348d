"""``bphcoffea run``: an analysis over filesets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import bphcoffea
from bphcoffea import datasets, execution, storage
from bphcoffea.cli import arguments
from bphcoffea.cli.clean import note_old_checkpoints
from bphcoffea.cli.completion import complete_facility
from bphcoffea.cli.summary import print_next, print_summary
from bphcoffea.cli.terminal import say
from bphcoffea.errors import InputError

if TYPE_CHECKING:
    from bphcoffea.analysis import Analysis


def run(
    context: typer.Context,
    analysis: arguments.AnalysisName,
    fileset: Annotated[
        list[str],
        typer.Argument(
            metavar="FILESET...", help="JSON files of filesets; or ROOT files, for a first look."
        ),
    ],
    output: arguments.Output,
    era: Annotated[
        str | None,
        typer.Option(help="Era of ROOT files given without a fileset: 2017B, 2018D, 2022."),
    ] = None,
    dataset: arguments.Datasets = None,
    corrections: arguments.CorrectionFiles = None,
    classifier: Annotated[
        Path | None,
        typer.Option(metavar="TOML", help="Classifier of `train`, which splits the categories."),
    ] = None,
    nominal: Annotated[
        bool, typer.Option("--nominal", help="Skip the systematic variations.")
    ] = False,
    executor: Annotated[
        arguments.Executor | None,
        typer.Option(help="Executor of the chunks; futures by default, dask at a facility."),
    ] = None,
    workers: arguments.Workers = None,
    scheduler: arguments.Scheduler = None,
    facility: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Where to run; see `bphcoffea facility list`.",
            autocompletion=complete_facility,
        ),
    ] = None,
    chunksize: Annotated[
        int, typer.Option(min=1, help="Approximate number of events per chunk.")
    ] = 200_000,
    memory: arguments.Memory = None,
    max_chunks: Annotated[
        int | None,
        typer.Option(min=1, help="Process at most this many chunks per dataset, as a quick test."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run into the same DIR.")
    ] = False,
    overwrite: arguments.Overwrite = False,
    checkpoints: arguments.CheckpointPlace = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the columns that are read in this folder; the next run reads them there.",
        ),
    ] = None,
    attempts: Annotated[
        int, typer.Option(min=1, help="Number of tries per file at each of its locations.")
    ] = 3,
    timeout: Annotated[
        int, typer.Option(min=1, metavar="S", help="Seconds to wait for a server or scheduler.")
    ] = 60,
    min_proxy_lifetime: arguments.ProxyLifetime = 1,
    stage_out: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Also copy the results there: root://, davs://, a folder."
        ),
    ] = None,
    skim: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Write the selected data there, from the workers."),
    ] = None,
    skim_of: Annotated[
        Literal["events", "candidates"], typer.Option(help="What a skim holds.")
    ] = "events",
    mass: Annotated[
        list[float] | None,
        typer.Option(metavar="GEV", help="Also hide data around this mass; may be repeated."),
    ] = None,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Keep the data that the analysis declares blind.")
    ] = False,
) -> None:
    """Run an analysis over a fileset; status 3 if some of it could not be read."""
    began: float = context.obj
    site = bphcoffea.load_facility(facility) if facility else None
    usual = site.storage if site else None
    loaded = arguments.load_named(analysis)
    loaded = loaded.corrected(bphcoffea.load_corrections(corrections or ()), nominal_only=nominal)
    if classifier is not None:
        loaded = loaded.classified(bphcoffea.load_classifier(classifier))
    all_files = _files(fileset, loaded, era)
    files = all_files.select(dataset or ())
    with arguments.suggesting(
        {execution.NothingToHideError: " (--mass), or hide nothing (--unblind)"}
    ):
        loaded = execution.blinded(loaded, files, mass or (), unblind=unblind, signals=all_files)
    options = execution.Options(
        executor or ("dask" if facility or scheduler else "futures"),
        workers,
        scheduler,
        chunksize,
        arguments.bytes_of(memory),
        max_chunks,
        storage.Retries(attempts, timeout_s=timeout),
        checkpoints=checkpoints
        or (usual.checkpoints if usual else None)
        or execution.default_place(),
        keep=keep,
        resume=resume,
        overwrite=overwrite,
        facility=site,
        proxy_hours=min_proxy_lifetime,
        stage_out=stage_out or (usual.stage_out if usual else None),
        skim=skim,
        skim_of=skim_of,
    )
    if resume and options.checkpoints is None:
        raise InputError("--resume: give the folder of the run's checkpoints with --checkpoints")
    note_old_checkpoints(options.checkpoints)

    def hints() -> dict[type[InputError], str]:
        found = arguments.options_of_run()
        if options.checkpoints:
            found[storage.UnwritableError] = "; then repeat the command with --resume"
        return found

    try:
        with arguments.suggesting(hints):
            result = execution.run(loaded, files, output, options, began=began)
    except KeyboardInterrupt as interrupt:
        if options.checkpoints:
            interrupt.add_note("to continue, repeat the command with --resume")
        raise
    print_summary(result, time.perf_counter() - began)
    for content, url in (("results", options.stage_out), ("skim", options.skim)):
        if url:
            say(f"{content} staged out to {url}")
    print_next("fit" if result.complete and result.analysis.fit else "status", output)
    if not result.complete:
        raise typer.Exit(3)


def _files(places: list[str], analysis: Analysis, era: str | None) -> datasets.Fileset:
    """Return the fileset of JSON files, or of ROOT files."""
    if not any(place.partition("?")[0].endswith(".root") for place in places):
        if era is not None:
            raise InputError("--era is for ROOT files; a fileset gives the era of each dataset")
        return datasets.load_filesets(places)
    era = era or datasets.UNKNOWN_ERA
    fileset = datasets.fileset_of_files(places, analysis.schema, era)
    for name in fileset.names:
        kind = "simulation" if fileset[name].metadata.is_mc else "data"
        say(f"note: {name}: taken as {kind} of era {era}; write a fileset to state it")
    return fileset
