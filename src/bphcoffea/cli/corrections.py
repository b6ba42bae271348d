"""``bphcoffea corrections``: show, convert and make correction files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from bphcoffea import analysis, corrections, results
from bphcoffea.cli.arguments import RunDirectory
from bphcoffea.cli.terminal import say, show_json
from bphcoffea.corrections import making
from bphcoffea.errors import InputError, alternatives

app = typer.Typer(no_args_is_help=True, help="Show, convert and make correction files.")

NewFile = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="File to write: .json or .json.gz.")
]
Histogram = Annotated[
    str | None, typer.Option(metavar="FILE:HIST", help="Histogram in a file: file.root:path/of/it.")
]


@app.command()
def show(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A correctionlib file, or a TOML file.")
    ],
) -> None:
    """Show the corrections of a file with their inputs and keys, or the settings of a TOML file."""
    if file.suffix == ".toml":
        for era in corrections.load_corrections([file]):
            show_json(json.dumps(era.describe()))
        return
    content = corrections.read_correction_set(file)
    for name in content.corrections:
        try:
            payload = corrections.Payload(file, name, content)
        except InputError as error:
            say(f"{name}: {str(error).removeprefix(f'{file}: ')}")
            continue
        say(f"{name} (version {payload.version})")
        for variable, kind in payload.inputs.items():
            values = (*payload.keys(variable), *payload.ranges(variable))
            say(f"    {variable} ({kind}): {', '.join(values)}")
    for name in content.compound:
        say(f"{name}: a compound correction, for the energies of jets or electrons")


@app.command()
def convert(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]SOURCE...",
            help="Histograms, NAME=file.root:path/of/it, or one older JSON file.",
        ),
    ],
    output: NewFile,
    inputs: Annotated[
        str, typer.Option(metavar="X[,Y]", help="Names of the axes of the histograms.")
    ] = "pt,eta",
    flow: Annotated[
        Literal["error", "clamp"], typer.Option(help="What the correction does outside the bins.")
    ] = "error",
    pileup: Annotated[
        bool, typer.Option("--pileup", help="The histogram holds pile-up weights.")
    ] = False,
    up: Histogram = None,
    down: Histogram = None,
) -> None:
    """Convert ROOT histograms, or an older JSON file, to a correctionlib file.

    Histograms (TH1, TH2, TEfficiency) become corrections with the keys nominal and stat. Older JSON
    files are those of correctionlib's schema 1, and of the Muon POG's tag and probe.
    """
    if len(sources) == 1 and sources[0].endswith((".json", ".json.gz")):
        if pileup or up or down:
            raise InputError("--pileup, --up and --down apply to histograms, not to an older .json")
        converted = [making.Converted(made) for made in making.from_json(sources[0])]
        _write(converted, output, f"made from {Path(sources[0]).name}")
        return
    if (up or down) and not pileup:
        raise InputError("--up and --down apply to pile-up weights; add --pileup")
    if (up or down) and len(sources) > 1:
        raise InputError("--up and --down apply to one histogram; convert the others separately")
    axes = [axis.strip() for axis in inputs.split(",")]
    if not all(axes):
        raise InputError(f"--inputs '{inputs}': write the name of each axis, such as pt,eta")
    named = [source.partition("=") for source in sources]
    for name, equals, source in named:
        if not (name and equals and source):
            raise InputError(
                f"{name}{equals}{source}: write NAME=file.root:path/of/it, or one older .json"
            )
    built = [
        making.pileup_from_histograms(source, name, up, down)
        if pileup
        else making.from_histogram(source, name, axes, flow=flow)
        for name, _, source in named
    ]
    paths = [source.rpartition(":") for _, _, source in named]
    read_from = ", ".join(f"{Path(file).name}:{histogram}" for file, _, histogram in paths)
    _write(built, output, f"made from {read_from}")


@app.command("pileup")
def make_pileup(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Pile-up profile of data: file.root:hist.")
    ],
    simulation: Annotated[
        str,
        typer.Argument(
            metavar="SIMULATION",
            help="Pile-up profile of simulation: file.root:hist, or a list of numbers.",
        ),
    ],
    output: NewFile,
    name: Annotated[str, typer.Option(help="Name of the correction.")] = "pileup",
    data_up: Histogram = None,
    data_down: Histogram = None,
) -> None:
    """Make pile-up weights from the pile-up profiles of data and simulation."""
    made = making.pileup_from_profiles(data, simulation, name, data_up, data_down)
    _write([made], output, "made from profiles of data and simulation")


@app.command("btag")
def make_btag(
    directory: RunDirectory,
    output: NewFile,
    jets: Annotated[
        str, typer.Option(metavar="HIST", help="Histogram of all jets: flavour, |η|, pT.")
    ],
    tagged: Annotated[
        list[str],
        typer.Option(metavar="WP=HIST", help="Histogram of the jets that pass a working point."),
    ],
    by_process: Annotated[
        bool, typer.Option("--by-process", help="Also make a correction for each process.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the correction.")] = "efficiency",
) -> None:
    """Make b-tagging efficiencies from the histograms of a run.

    The run must not require b tags, nor have weights for them. With --by-process, the correction of
    a process is called NAME_PROCESS.
    """
    run = results.RunFolder(directory)
    pairs = [text.partition("=") for text in tagged]
    for working_point, equals, histogram in pairs:
        if not (working_point and equals and histogram):
            raise InputError(f"--tagged {working_point}{equals}{histogram}: write WP=HIST")
    groups = {name: run.datasets.simulated}
    if by_process:
        groups |= {f"{name}_{process}": of for process, of in run.datasets.by_process.items()}
    made = [
        making.btag_efficiencies(
            results.simulated_sum(run, jets, datasets),
            {wp: results.simulated_sum(run, histogram, datasets) for wp, _, histogram in pairs},
            group,
        )
        for group, datasets in groups.items()
    ]
    _write(made, output, f"made from the run {run.path}")


@app.command("btag-normalisation")
def make_btag_normalisation(
    directory: RunDirectory,
    without: Annotated[
        Path, typer.Option(metavar="RUN", help="The same run without weights for b tags.")
    ],
    output: NewFile,
    histogram: Annotated[
        str, typer.Option(metavar="HIST", help="Histogram of the number of jets of all events.")
    ],
    weight: Annotated[str, typer.Option(metavar="NAME", help="Name of the weight for b tags.")],
    by_process: Annotated[
        bool, typer.Option("--by-process", help="Also make a correction for each process.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the correction.")] = "normalisation",
) -> None:
    """Make factors that keep the number of events when b taggers' shapes are weighted.

    The runs must not require b tags. With --by-process, the correction of a process is called
    NAME_PROCESS.
    """
    run, other = results.RunFolder(directory), results.RunFolder(without)
    sums = [{n: r.generator_sumw for n, r in of.normalisation.items()} for of in (run, other)]
    if sums[0] != sums[1]:
        raise InputError(f"{run.path}, {other.path}: the runs did not process the same events")
    filled = run.histograms()
    if histogram not in filled:
        raise InputError(
            f"{run.path}: has no histogram '{histogram}'{alternatives(histogram, filled)}"
        )
    variations = list(filled[histogram].axes["variation"])
    prefix = f"{weight}_"
    keys = {v.removeprefix(prefix): v for v in variations if v.startswith(prefix)}
    if not keys:
        raise InputError(
            f"{run.path}: histogram '{histogram}' has no variations of a weight '{weight}'"
        )
    keys = {corrections.CENTRAL: analysis.NOMINAL, **keys}
    groups = {name: run.datasets.simulated}
    if by_process:
        groups |= {f"{name}_{process}": of for process, of in run.datasets.by_process.items()}
    made = [
        making.btag_normalisation(
            results.simulated_sum(other, histogram, datasets),
            {k: results.simulated_sum(run, histogram, datasets, v) for k, v in keys.items()},
            group,
        )
        for group, datasets in groups.items()
    ]
    _write(made, output, f"made from the runs {run.path} and {other.path}")


def _write(converted: list[making.Converted], output: Path, description: str) -> None:
    making.write([result.correction for result in converted], output, description)
    for result in converted:
        for note in result.notes:
            say(f"note: {result.correction.name}: {note}")
    say(f"{output}: {', '.join(result.correction.name for result in converted)}")
