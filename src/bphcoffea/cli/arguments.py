"""Arguments and options that several commands take."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from bphcoffea.storage.disks import UnwritableError

Executor = Literal["iterative", "futures", "dask"]
AnalysisName = Annotated[
    str,
    typer.Argument(
        metavar="ANALYSIS",
        help="Name of a shipped analysis, or a path: my/analysis.py or my/analysis.py:Class.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace what the same command wrote there; nothing else."),
]
DerivedOutput = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Write there instead, as for a run that is read-only."
    ),
]
CheckpointPlace = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Finished chunks are kept there; by default in the cache of your home."
    ),
]
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
CorrectionFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--corrections",
        metavar="TOML",
        help="Scale factors, pile-up, luminosity of an era; once for each era.",
    ),
]


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """Say how to write elsewhere, if the folder of a run can't be written."""
    try:
        yield
    except UnwritableError as error:
        raise UnwritableError(f"{error} (--output)") from None
