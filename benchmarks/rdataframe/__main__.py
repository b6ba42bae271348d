"""bphcoffea beside ROOT's RDataFrame on the same files: time, memory, and the same result.

    python benchmarks/rdataframe -o rdataframe        (or `make bench`, which installs ROOT)

Each contestant is a process, timed from its start to its exit, on an increasing number of files:

- RDataFrame with the same cuts, histograms, cutflow and table, one thread and two;
- ``bphcoffea run`` in one process, in two and on a Dask cluster of two workers;
- uproot making arrays of the same numeric branches, without an analysis;
- inflating the baskets of these branches, with libdeflate and with ISA-L, and nothing else.

Contestants take turns, so that changes in the speed of the machine hit all of them; CPU time
suffers less from other processes. A straight line through the times of the smallest and the largest
number of files separates the fixed cost of a process (imports, compilation, start of workers) from
the cost per event. Cutflow, histograms, selected events and luminosity sections of all contestants
that select must be identical.

Without ROOT, give files of your own (``--input``); RDataFrame does not take part.
"""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agreement import differences, result_of_rdataframe, result_of_run
from matplotlib.figure import Figure
from measuring import measure
from rich.console import Console
from rich.table import Table
from samples import DATASET, Input, make_input, read_once
from selections import SELECTIONS

from bphcoffea.datasets import Fileset
from bphcoffea.execution import engine, load_analysis, needs_of
from bphcoffea.presentation.style import cms_style

HERE = Path(__file__).parent
HAS_ROOT = importlib.util.find_spec("ROOT") is not None
ANALYSES = ("ds_phipi", "tau3mu", "hnl")
RUN = [sys.executable, "-m", "bphcoffea", "run"]


@dataclass(frozen=True)
class Contestant:
    """What is measured.

    Attributes
    ----------
    name
        Name in the table.
    words
        Command as far as it does not depend on the files.
    kind
        ``rdataframe``, ``bphcoffea`` or ``bare``.
    """

    name: str
    words: tuple[object, ...]
    kind: str

    def command(self, source, fileset, branches, output):
        """Return the whole command."""
        if self.kind == "rdataframe":
            return [*self.words, output, *source.files]
        if self.kind == "bphcoffea":
            return [*self.words, fileset, "-o", output]
        return [*self.words, source.tree, ",".join(branches), *source.files]

    def result(self, output):
        """Return what it selected; None if it selects nothing."""
        if self.kind == "bare":
            return None
        read = result_of_rdataframe if self.kind == "rdataframe" else result_of_run
        return read(output, DATASET)


def contestants(analysis, format_of_files, workers):
    """Yield what can be measured for an analysis and a format."""
    if HAS_ROOT and analysis in SELECTIONS:
        script = (sys.executable, "-W", "ignore", HERE / "root_selection.py", analysis)
        for threads in (1, workers):
            yield Contestant(f"rdataframe-{threads}", (*script, threads), "rdataframe")
    run = (*RUN, analysis, "--nominal", "--unblind")
    yield Contestant("iterative", (*run, "--executor", "iterative"), "bphcoffea")
    for executor in ("futures", "dask"):
        words = (*run, "--executor", executor, "--workers", workers)
        yield Contestant(f"{executor}-{workers}", words, "bphcoffea")
    hows = ["uproot"]
    if format_of_files == "ttree":
        hows += [how for how in ("libdeflate", "isal") if how == "isal" or has_libdeflate()]
    for how in hows:
        yield Contestant(how, (sys.executable, HERE / "bare.py", how), "bare")


def has_libdeflate():
    return importlib.util.find_spec("deflate") is not None


def numeric_branches(analysis, source):
    """Return the branches that an analysis reads, without the names of trigger paths."""
    fileset = Fileset.model_validate(source.fileset())
    with engine("iterative") as running:
        needs = needs_of(load_analysis(analysis), fileset, running)[DATASET]
    return sorted(n for n in needs.required if n not in ("Trigger_hltname", "Trigger_l1name"))


def one_turn(runners, source, branches, scratch):
    """Measure each contestant once and return a row for each; all results must agree."""
    rows, reference = [], None
    environment = os.environ | {
        "XDG_CACHE_HOME": str(scratch / "cache"),
        "EXTRA_CLING_ARGS": "-O2",
    }
    fileset = scratch / "fileset.json"
    fileset.write_text(json.dumps(source.fileset()))
    for runner in runners:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            output = Path(folder, "output")
            words = map(str, runner.command(source, fileset, branches, output))
            measured = measure([*words], environment)
            result = runner.result(output)
        rows.append(
            {"contestant": runner.name, "files": len(source.files), "events": sum(source.events)}
            | measured
        )
        print(json.dumps(rows[-1]), flush=True)
        if result is not None and reference is None:
            reference = runner.name, result
        elif result is not None and (found := differences(reference[1], result)):
            sys.exit("\n".join([f"{reference[0]} and {runner.name} differ:", *found]))
    return rows


def line(few, many, key):
    """Return the fixed cost, s, and the slope, µs per event, of the two sizes of one turn."""
    slope = (many[key] - few[key]) / (many["events"] - few["events"])
    return few[key] - slope * few["events"], 1e6 * slope


def spread(values):
    """Return the median, and half the range of the middle half of some values."""
    middle = statistics.median(values)
    if len(values) < 2:
        return middle, 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, (high - low) / 2


def summarise(rows, repeat):
    """Return medians and spreads per contestant, at the largest size and per event."""
    summary = []
    sizes = sorted({row["files"] for row in rows})
    reference = {}
    for name in dict.fromkeys(row["contestant"] for row in rows):
        own = [row for row in rows if row["contestant"] == name]
        by_size = {size: [row for row in own if row["files"] == size] for size in sizes}
        many = by_size[sizes[-1]]
        entry = {"contestant": name, "events": many[0]["events"], "repetitions": repeat}
        for key in ("wall_s", "cpu_s", "peak_mb"):
            entry[key], entry[f"{key}_spread"] = spread([row[key] for row in many])
        if len(sizes) > 1:
            for key in ("wall", "cpu"):
                pairs = zip(by_size[sizes[0]], many, strict=True)
                lines = [line(few, most, f"{key}_s") for few, most in pairs]
                for number, part in enumerate(("fixed_s", "us_per_event")):
                    column, values = f"{key}_{part}", [found[number] for found in lines]
                    entry[column], entry[f"{column}_spread"] = spread(values)
        reference = reference or entry
        entry["relative_to"] = reference["contestant"]
        for key in ("wall_s", "cpu_s", "wall_us_per_event", "cpu_us_per_event"):
            if key in entry:
                entry[f"{key}_ratio"] = entry[key] / reference[key]
        summary.append(entry)
    return summary


#: Columns of the table: heading, key, digits.
COLUMNS = (
    ("wall [s]", "wall_s", 1),
    ("CPU [s]", "cpu_s", 1),
    ("peak [MB]", "peak_mb", 0),
    ("fixed wall [s]", "wall_fixed_s", 1),
    ("fixed CPU [s]", "cpu_fixed_s", 1),
    ("wall [µs/event]", "wall_us_per_event", 2),
    ("CPU [µs/event]", "cpu_us_per_event", 2),
)


def table_of(title, summary):
    table = Table(title=f"{title}, {summary[0]['events']:,} events")
    columns = [column for column in COLUMNS if column[1] in summary[0]]
    table.add_column("")
    for heading, _, _ in columns:
        table.add_column(heading, justify="right")
    ratios = [key for key in ("wall_s", "cpu_s", "cpu_us_per_event") if key in summary[0]]
    names = {"wall_s": "wall", "cpu_s": "CPU", "cpu_us_per_event": "CPU/event"}
    for key in ratios:
        table.add_column(f"{names[key]} / {summary[0]['contestant']}", justify="right")
    for entry in summary:
        cells = [f"{entry[k]:.{d}f} ± {entry[f'{k}_spread']:.{d}f}" for _, k, d in columns]
        table.add_row(entry["contestant"], *cells, *(f"{entry[f'{k}_ratio']:.2f}" for k in ratios))
    return table


def draw(rows, summary, path):
    """Draw wall and CPU time against the number of events, with the straight lines."""
    with cms_style():
        figure = Figure(figsize=(22, 10), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, key, label in zip(panels, ("wall", "cpu"), ("Wall", "CPU"), strict=True):
            for number, entry in enumerate(summary):
                own = [row for row in rows if row["contestant"] == entry["contestant"]]
                events = sorted({row["events"] for row in own})
                found = [
                    spread([row[f"{key}_s"] for row in own if row["events"] == n]) for n in events
                ]
                middle, errors = zip(*found, strict=True)
                name = entry["contestant"]
                if f"{key}_fixed_s" in entry:
                    fixed, slope = entry[f"{key}_fixed_s"], entry[f"{key}_us_per_event"]
                    name += f": {fixed:.1f} s + {slope:.1f} µs/event"
                drawn = axes.errorbar(
                    [n / 1e3 for n in events],
                    middle,
                    errors,
                    fmt="os^vD<>*"[number % 8],
                    label=name,
                )
                if f"{key}_fixed_s" in entry:
                    ends = [0, events[-1]]
                    times = [fixed + 1e-6 * slope * n for n in ends]
                    axes.plot([n / 1e3 for n in ends], times, "-", color=drawn[0].get_color(), lw=1)
            axes.set_xlabel("Events / 1000")
            axes.set_ylabel(f"{label} time [s]")
            axes.set_xlim(left=0)
            axes.set_ylim(0, 1.7 * axes.get_ylim()[1])
            axes.legend(loc="upper left", fontsize=17)
        figure.savefig(path)


def default_cache():
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "bphcoffea-benchmarks")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--analysis", nargs="+", choices=ANALYSES, default=[*ANALYSES])
    parser.add_argument("--format", nargs="+", choices=("ttree", "rntuple"), default=None)
    parser.add_argument("--events", type=int, default=200_000, help="events per file")
    parser.add_argument("--files", type=int, nargs="+", default=[1, 2, 4], help="numbers of files")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these contestants alone")
    parser.add_argument("--input", type=Path, nargs="+", help="Tree3Mu files of 2017 to read")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("-o", "--output", type=Path, default=Path("rdataframe"))
    arguments = parser.parse_args()
    if not arguments.input and not HAS_ROOT:
        sys.exit("ROOT, which writes the files, is not installed: use `make bench`, or --input")
    arguments.output.mkdir(parents=True, exist_ok=True)
    content = {}
    for analysis in arguments.analysis:
        for format_of_files in arguments.format or ("ttree", "rntuple"):
            title = f"{analysis}, {format_of_files}"
            source = prepare(arguments, analysis, format_of_files)
            rows = compete(arguments, analysis, format_of_files, source)
            summary = summarise(rows, arguments.repeat)
            content[title] = {"summary": summary, "rows": rows}
            name = f"{analysis}_{format_of_files}.png"
            draw(rows, summary, arguments.output / name)
            Console(width=200).print(table_of(title, summary))
            text = json.dumps(content, indent=1) + "\n"
            (arguments.output / "rdataframe.json").write_text(text)


def prepare(arguments, analysis, format_of_files):
    if not arguments.input:
        number = max(arguments.files)
        return make_input(
            analysis, format_of_files, arguments.events, number, arguments.cache.absolute()
        )
    return Input.of_files([path.absolute() for path in arguments.input])


def compete(arguments, analysis, format_of_files, source):
    """Return the rows of all turns."""
    runners = contestants(analysis, format_of_files, arguments.workers)
    runners = [r for r in runners if not arguments.only or r.name in arguments.only]
    branches = numeric_branches(analysis, source)
    read_once(source.files)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(arguments.repeat):
            for size in sorted({min(size, len(source.files)) for size in arguments.files}):
                rows += one_turn(runners, source.first(size), branches, Path(scratch))
    return rows


if __name__ == "__main__":
    main()
