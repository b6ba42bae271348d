"""Commands that show and make files of corrections."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bphcoffea.cli.terminal import console, say
from bphcoffea.errors import InputError

if TYPE_CHECKING:
    from bphcoffea.corrections.making import Converted

app = typer.Typer(no_args_is_help=True, help="Show, convert and make files of corrections.")

NewFile = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="A .json or .json.gz.")
]
Histogram = Annotated[
    str | None, typer.Option(metavar="FILE:HIST", help="A histogram: file.root:path/of/it.")
]


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A correctionlib file, or a TOML.")],
) -> None:
    """Tell which corrections a file holds, with their inputs and keys; or load a TOML."""
    from bphcoffea.corrections import load_corrections
    from bphcoffea.corrections.correction_set import read_correction_set
    from bphcoffea.corrections.payload import Payload

    if file.suffix == ".toml":
        for era in load_corrections([file]):
            console.print_json(data=era.describe())
        return
    content = read_correction_set(file)
    for name in content.corrections:
        try:
            payload = Payload(file, name, content)
        except InputError as error:
            say(f"{name}: {str(error).removeprefix(f'{file}: ')}")
            continue
        say(f"{name} (version {payload.version})")
        for each, kind in payload.inputs.items():
            known = (*payload.keys(each), *payload.ranges(each))
            say(f"    {each} ({kind}): {', '.join(known)}")
    for name in content.compound:
        say(f"{name}: a compound correction, which is not supported")


@app.command()
def convert(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]SOURCE…",
            help="Histograms, NAME=file.root:path/of/it; or one older .json.",
        ),
    ],
    output: NewFile,
    inputs: Annotated[
        str, typer.Option(metavar="X[,Y]", help="Names of the axes of histograms.")
    ] = "pt,eta",
    flow: Annotated[
        Literal["error", "clamp"], typer.Option(help="What the file says of values outside.")
    ] = "error",
    pileup: Annotated[
        bool, typer.Option("--pileup", help="The histogram is one of pile-up weights.")
    ] = False,
    up: Histogram = None,
    down: Histogram = None,
) -> None:
    """Make a correctionlib file of ROOT histograms, or of an older JSON file.

    Histograms (TH1, TH2, TEfficiency) become corrections with the keys nominal and stat. An older
    JSON is one of correctionlib's schema 1, or of the Muon POG's tag and probe.
    """
    from bphcoffea.corrections import making

    if len(sources) == 1 and sources[0].endswith((".json", ".json.gz")):
        if pileup or up or down:
            raise InputError("--pileup, --up and --down are of histograms, not of an older .json")
        made = [making.Converted(each) for each in making.from_json(sources[0])]
        _write(made, output, f"made from {Path(sources[0]).name}")
        return
    if (up or down) and not pileup:
        raise InputError("--up and --down are of pile-up weights; add --pileup")
    if (up or down) and len(sources) > 1:
        raise InputError("--up and --down are of one histogram; convert the others by themselves")
    axes = [axis.strip() for axis in inputs.split(",")]
    if not all(axes):
        raise InputError(f"--inputs '{inputs}': write the name of each axis, as pt,eta")
    named = [source.partition("=") for source in sources]
    for name, equals, place in named:
        if not (name and equals and place):
            raise InputError(
                f"{name}{equals}{place}: write NAME=file.root:path/of/histogram, or one older .json"
            )
    built = [
        making.pileup_from_histograms(place, name, up, down)
        if pileup
        else making.from_histogram(place, name, axes, flow=flow)
        for name, _, place in named
    ]
    paths = [place.rpartition(":") for _, _, place in named]
    read_from = ", ".join(f"{Path(file).name}:{histogram}" for file, _, histogram in paths)
    _write(built, output, f"made from {read_from}")


@app.command("pileup")
def make_pileup(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Profile of data: file.root:hist.")],
    simulation: Annotated[
        str,
        typer.Argument(
            metavar="SIMULATION", help="That of simulation: file.root:hist, or a list of numbers."
        ),
    ],
    output: NewFile,
    name: Annotated[str, typer.Option(help="Of the correction.")] = "pileup",
    data_up: Histogram = None,
    data_down: Histogram = None,
) -> None:
    """Make pile-up weights from the profiles of data and of simulation."""
    from bphcoffea.corrections import making

    made = making.pileup_from_profiles(data, simulation, name, data_up, data_down)
    _write([made], output, "made from profiles of data and simulation")


def _write(made: list[Converted], output: Path, description: str) -> None:
    from bphcoffea.corrections.making import write

    write([each.correction for each in made], output, description)
    for each in made:
        for note in each.notes:
            say(f"note: {each.correction.name}: {note}")
    say(f"{output}: {', '.join(each.correction.name for each in made)}")
