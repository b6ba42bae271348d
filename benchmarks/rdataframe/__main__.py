"""bphcoffea beside ROOT's RDataFrame on the same files: time, memory, and the same result.

    python benchmarks/rdataframe -o rdataframe        (or `make bench`, which installs ROOT)

Each contestant is a process, timed from its start to its exit, on an increasing number of files:

- RDataFrame with the same cuts, histograms, cutflow and table, one thread and two;
- ``bphcoffea run`` in one process on one core and on two, in two processes, and on a Dask cluster
  of two workers;
- uproot making arrays of the same numeric branches, without an analysis;
- inflating the baskets of these branches, with libdeflate, and nothing else.

Contestants take turns, so that changes in the speed of the machine hit all of them; CPU time
suffers less from other processes. A straight line through the times of the smallest and the largest
number of files separates the fixed cost of a process (imports, compilation, start of workers) from
the cost per event. Cutflow, histograms, selected events and luminosity sections of all contestants
that select must be identical.

There is no selection with RDataFrame for heavy neutral leptons and Z → μμ; the latter reads the few
events of a NanoAOD sample, repeated. Without ROOT, give files of your own (``--input``), which
RDataFrame then does not read.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agreement import differences, result_of_rdataframe, result_of_run
from inputs import DATASET, Input, make_input, read_once
from measuring import measure
from rich.console import Console
from selections import SELECTIONS
from summary import draw, summarise, table_of

from bphcoffea.datasets import Fileset
from bphcoffea.execution import engine, load_analysis, needs_of

HERE = Path(__file__).parent
HAS_ROOT = importlib.util.find_spec("ROOT") is not None
ANALYSES = ("ds_phipi", "tau3mu", "hnl", "zmumu")
FORMATS = ("ttree", "rntuple")
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
    cores
        Number of cores that it may use; None for all.
    """

    name: str
    words: tuple[object, ...]
    kind: str
    cores: int | None = None

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
    for cores in (1, workers):
        words = (*run, "--executor", "iterative")
        yield Contestant(f"iterative-{cores}", words, "bphcoffea", cores)
    for executor in ("futures", "dask"):
        words = (*run, "--executor", executor, "--workers", workers)
        yield Contestant(f"{executor}-{workers}", words, "bphcoffea")
    hows = ["uproot"]
    if format_of_files == "ttree":
        hows.append("libdeflate")
    for how in hows:
        yield Contestant(how, (sys.executable, HERE / "bare.py", how), "bare")


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
            measured = measure([*words], environment, runner.cores)
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


def default_cache():
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "bphcoffea-benchmarks")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--analysis", nargs="+", choices=ANALYSES, default=[*ANALYSES])
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=[*FORMATS])
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
        for format_of_files in arguments.format:
            if analysis == "zmumu" and format_of_files == "rntuple":
                continue  # ROOT's RNTuples of NanoAOD have collections, not lists
            title = f"{analysis}, {format_of_files}"
            source = prepare(arguments, analysis, format_of_files)
            rows = compete(arguments, analysis, format_of_files, source)
            summary = summarise(rows)
            content[title] = {"summary": summary, "rows": rows}
            name = f"{analysis}_{format_of_files}.png"
            draw(title, rows, summary, arguments.output / name)
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
