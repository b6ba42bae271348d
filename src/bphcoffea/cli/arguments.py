"""Arguments and options that several commands share, and what the commands do with them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from bphcoffea import analysis, execution, facilities, storage
from bphcoffea.cli.completion import complete_analysis, complete_dataset, complete_facility
from bphcoffea.cli.terminal import say
from bphcoffea.errors import InputError

#: What to append to errors, by their type.
Hints: TypeAlias = Mapping[type[InputError], str]

Executor = Literal["iterative", "futures", "dask"]
AnalysisName = Annotated[
    str,
    typer.Argument(
        metavar="ANALYSIS",
        help="Name of a shipped analysis, or a path: my/analysis.py or my/analysis.py:Class.",
        autocompletion=complete_analysis,
    ),
]
FilesetPaths = Annotated[
    list[Path], typer.Argument(metavar="FILESET...", help="JSON files of filesets.")
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the new files.")
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace what this command wrote there before; other files stay."
    ),
]
DerivedOutput = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="Other folder for the new files."),
]
CheckpointPlace = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Folder of checkpoints; by default in your cache folder."),
]
RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.")]
Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        metavar="GLOB",
        help="Only datasets that match; may be repeated.",
        autocompletion=complete_dataset,
    ),
]
ExecutorOption = Annotated[Executor, typer.Option(help="Executor that processes the chunks.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Number of worker processes; by default one per core.")
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory per worker, such as 2GB; by default its limit, or its share of the machine.",
    ),
]
FacilityName = Annotated[
    str,
    typer.Argument(
        metavar="FACILITY",
        help="Name from `facility list`, or a .toml file.",
        autocompletion=complete_facility,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDR", help="Address of a running Dask scheduler: tcp://host:port."),
]
ProxyLifetime = Annotated[
    float,
    typer.Option(
        "--min-proxy-lifetime", min=0, metavar="H", help="Hours the grid proxy must be valid for."
    ),
]
CorrectionFiles = Annotated[
    list[Path] | None,
    typer.Option("--corrections", metavar="TOML", help="Corrections of one era; may be repeated."),
]


def load_named(name: str) -> analysis.Analysis:
    """Load an analysis by name or path, and print which file it comes from."""
    for line in execution.source_notes(name):
        say(line)
    return execution.load_analysis(name)


@contextlib.contextmanager
def suggesting(hints: Hints | Callable[[], Hints]) -> Iterator[None]:
    """Append a hint, such as an option of the command, to errors of these types.

    A function that returns the hints is called only after an error.
    """
    try:
        yield
    except InputError as error:
        found = hints() if callable(hints) else hints
        hint = next((hint for kind, hint in found.items() if isinstance(error, kind)), None)
        if hint is None:
            raise
        raise type(error)(f"{error}{hint}") from None


def bytes_of(memory: str | None) -> int | None:
    """Return the value of ``--memory`` in bytes.

    Raises
    ------
    InputError
        If it is not a size.
    """
    try:
        return None if memory is None else facilities.in_bytes(memory)
    except ValueError as error:
        raise InputError(f"--memory: {error}") from None


def options_of_run() -> dict[type[InputError], str]:
    """Return what to append to the errors of a run: the option that remedies each of them."""
    return {
        execution.ClusterLostError: " (--resume)",
        facilities.NoSchedulerError: " (--scheduler)",
        facilities.NoWorkerCountError: " (--workers)",
        storage.OccupiedError: " (--overwrite)",
        facilities.ShortProxyError: " (--min-proxy-lifetime)",
        execution.WrongExecutorError: " (--executor dask)",
    }


def with_option(error: InputError) -> str:
    """Return the message of an error and the option that remedies it, if there is one."""
    option = next((text for kind, text in options_of_run().items() if isinstance(error, kind)), "")
    return f"{error}{option}"
