"""Cost of systematic variations: time of a run of Ds → φπ against their number.

The simulated toy samples are processed in one process without variations, with an increasing number
of weight variations (muon scale factors from correctionlib, statistical and systematic parts up and
down), and with an increasing number of shape variations (momenta of muons and of tracks, for which
events are selected again). Each is compared with the nominal run of its round, so that changes in
the speed of the machine cancel.

    python benchmarks/variations.py -o variations
"""

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from bphcoffea.analysis import MomentumShift, MuonWeight
from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.presentation.style import cms_style
from bphcoffea.toys import TOYS

#: Variations of one muon scale factor, and of one shift of momenta.
PER_WEIGHT, PER_SHIFT = 4, 2
WEIGHTS = (0, 4, 12, 20, 40, 60)
SHAPES = (0, 2, 4, 6, 10)
#: Largest permitted time with all variations, relative to the nominal run.
ALLOWED = {"weight variations": 1.5, "shape variations": 4.0}


@dataclass(frozen=True)
class NumberedWeight(MuonWeight):
    """Copy of the scale factor for muon identification under another name."""

    section: str = "muon_id"

    def needs(self):
        return self.section

    def evaluate(self, values, given):
        return MuonWeight(self.section, self.muons, self.after).evaluate(values, given)


@dataclass(frozen=True)
class ManyScales(MomentumShift):
    """Momentum scale with several sources, each up and down."""

    sources: int = 1

    def variations(self, metadata, corrections):  # noqa: ARG002 - the same for all
        return {
            f"{self.particle}_scale_{number}{side}": (sign * 0.0005 * (1 + number), 0.0)
            for number in range(self.sources)
            for side, sign in (("Up", 1), ("Down", -1))
        }


def varied(analysis, weights, shapes):
    """Return the analysis with the given numbers of weight and shape variations."""
    muons = next(w.muons for w in analysis.weights if w.name == "muon_id")
    more = [
        NumberedWeight(f"muon_id_{number}", muons, "muon_id")
        for number in range(weights // PER_WEIGHT)
    ]
    # alternate between sources of muons and of tracks
    sources = shapes // PER_SHIFT
    counts = (sources - sources // 2, sources // 2)
    shifts = [
        ManyScales(like.particle, like.particles, like.masses, number)
        for like, number in zip(analysis.shifts, counts, strict=True)
        if number
    ]

    class Varied(type(analysis)):
        pass

    Varied.weights = tuple(more)
    Varied.shifts = tuple(shifts)
    return Varied()


def measure(analysis, fileset, corrections, folder):
    """Return the wall time of a run, s, and the number of variations of its histograms."""
    made = run(
        analysis.corrected(corrections), fileset, folder, Options("iterative", overwrite=True)
    )
    mass = made.histograms()["mass"]
    return made.read("metrics.json")["wall_s"], len(mass.axes["variation"]) - 1


def rounds(kind, numbers, analysis, fileset, corrections, times):
    """Return the times for each number of variations, one per round."""
    measured = {number: [] for number in numbers}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(times):
            for number in numbers:
                many = {"weights": number, "shapes": 0}
                if kind == "shape variations":
                    many = {"weights": 0, "shapes": number}
                wall, there = measure(varied(analysis, **many), fileset, corrections, scratch)
                assert there == number, (there, number)
                measured[number].append(wall)
            print(kind, {number: round(walls[-1], 2) for number, walls in measured.items()})
    return [
        {
            "kind": kind,
            "variations": number,
            "wall_s": statistics.median(walls),
            "ratio": statistics.median(
                wall / nominal for wall, nominal in zip(walls, measured[0], strict=True)
            ),
        }
        for number, walls in measured.items()
    ]


def draw(rows, path):
    with cms_style():
        figure = Figure(figsize=(11, 9), layout="constrained")
        axes = figure.add_subplot()
        for (kind, allowed), marker in zip(ALLOWED.items(), "os", strict=True):
            own = [row for row in rows if row["kind"] == kind]
            numbers, ratios = [r["variations"] for r in own], [r["ratio"] for r in own]
            (line,) = axes.plot(numbers, ratios, f"{marker}-", label=kind.capitalize(), zorder=3)
            axes.plot([0, numbers[-1]], [allowed] * 2, ":", color=line.get_color())
            axes.annotate(
                f"limit {allowed:g}",
                (numbers[-1], allowed),
                (-6, 6),
                textcoords="offset points",
                ha="right",
                fontsize=18,
                color=line.get_color(),
            )
        axes.set_xlabel("Variations")
        axes.set_ylabel("Time / nominal run")
        axes.set_xlim(-2, max(WEIGHTS) + 2)
        axes.set_ylim(0, 5)
        axes.legend(loc="upper right")
        figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=400_000, help="data events of the toy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=Path("variations"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    analysis = load_analysis("ds_phipi")
    with tempfile.TemporaryDirectory() as scratch:
        fileset = load_fileset(TOYS["ds_phipi"](Path(scratch), arguments.events, 1)).select(["*mc"])
        corrections = load_corrections([Path(scratch, "corrections.toml")])
        rows = []
        for kind, numbers in zip(ALLOWED, (WEIGHTS, SHAPES), strict=True):
            rows += rounds(kind, numbers, analysis, fileset, corrections, arguments.rounds)
    content = {"rows": rows, "allowed": ALLOWED, "load": os.getloadavg()}
    (arguments.output / "variations.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(rows, arguments.output / "variations.png")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
