"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Executor = Literal["iterative", "futures", "dask"]
AnalysisName = Annotated[
    str,
    typer.Argument(
        metavar="ANALYSIS",
        help="Name of a shipped analysis, or a path: my/analysis.py or my/analysis.py:Class.",
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
CorrectionFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--corrections",
        metavar="TOML",
        help="Scale factors, pile-up, luminosity of an era; once for each era.",
    ),
]
