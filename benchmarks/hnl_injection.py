"""Injection of a heavy neutral lepton: pulls of its strength, and coverage of the limits.

For each seed, two sets of selected candidates are drawn: with a signal of the given mass and |V|²,
and without. Both go through the sidebands, the counting model and the statistics of a limit.

With signal, the pull is (fitted strength − 1) / error. The error is that of the likelihood on the
side of the truth, where the profiled −2 ln L has risen by 1. Without signal, the benchmark counts
how often the observed limit on the strength lies in the expected ±2σ band.

The background of each category has the number of candidates of a run, which must be unblinded, and
an exponential fitted to their masses. The signal is drawn from the run's simulation. Nuisance
parameters are drawn anew for each toy, because a pull has unit width only if the truth varies as
the model says.

Uncertain factors are κ^α with a Gaussian α, as in the model. Their median is 1 and their mean is
larger, so the mean of the fitted strength is larger than the truth while its median is the truth.
The pull nevertheless has a mean of 0: the errors of the likelihood grow with the strength (by κ - 1
above and 1 - 1/κ below), so that a factor κ^α alone gives the pull α. With factors of mean 1 the
mean of the pull would not be 0.

Toys differ between runs of the benchmark unless ``--seed`` repeats earlier ones. Limits are
asymptotic.

    python benchmarks/hnl_injection.py --seeds 200 -o hnl_injection
    python benchmarks/hnl_injection.py --run results --normalisation phi_results -o hnl_injection
"""

import argparse
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyhf
from loky import ProcessPoolExecutor
from matplotlib.figure import Figure
from scipy.optimize import brentq

from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, blinded, load_analysis, run
from bphcoffea.presentation.bands import BANDS
from bphcoffea.presentation.style import cms_style
from bphcoffea.results import RunFolder
from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.searches.hnl.hypothesis import Hypothesis
from bphcoffea.searches.hnl.rates import MAXIMUM_MASS, MINIMUM_MASS
from bphcoffea.searches.hnl.signals import MASS, Signals
from bphcoffea.statistics import CATEGORY, DataSample, fit_mass, upper_limit
from bphcoffea.statistics.optimizer import Optimizer
from bphcoffea.statistics.pyhf_backend import backend
from bphcoffea.statistics.scaled_model import prepare
from bphcoffea.toys import TOYS

RANGE = MAXIMUM_MASS - MINIMUM_MASS
#: How far the error of a strength is searched for, in units of the rough estimate of its limit.
FARTHEST = 20.0


@dataclass(frozen=True)
class Truth:
    """Distributions from which candidates are drawn.

    Attributes
    ----------
    mass, mixing
        Mass of the signal, GeV, and its |V|².
    background
        Mean number of candidates in each category, and the slope of their masses, 1/GeV.
    signals, ds_yield
        Simulation and normalisation.
    """

    mass: float
    mixing: float
    background: dict[str, tuple[float, float]]
    signals: Signals
    ds_yield: DsYield

    @classmethod
    def of_runs(cls, search, normalisation, mass, mixing):
        names = [name for name, known in search.datasets.items() if not known.is_mc]
        tables = [search.candidates(name).to_pandas() for name in names]
        background = {}
        for name in search.histograms()[MASS].axes["category"]:
            masses = np.concatenate([t[MASS][t[CATEGORY] == name] for t in tables])
            masses = masses[(masses > MINIMUM_MASS) & (masses < MAXIMUM_MASS)]
            background[name] = float(len(masses)), slope_of(masses)
        ds_yield = DsYield.of_run(normalisation).for_search(DataSample.of_run(search, names))
        return cls(mass, mixing, background, Signals.of_run(search), ds_yield)

    @property
    def uncertainties(self):
        return self.ds_yield.uncertainties()

    def draw_background(self, rng):
        """Draw masses in each category by inverting the cumulative exponential."""
        drawn = {}
        for name, (number, slope) in self.background.items():
            u = rng.uniform(size=rng.poisson(number))
            drawn[name] = MINIMUM_MASS + np.log1p(u * np.expm1(slope * RANGE)) / slope
        return drawn

    def draw_signal(self, rng):
        """Draw each simulated candidate a Poisson number of times with its weight as mean."""
        neutrino = self.signals.neutrino
        ctau = neutrino.ctau_from_mixing(self.mass, self.mixing)
        factor = self.ds_yield.decays * neutrino.branching_product(self.mass, self.mixing)
        for relative in self.uncertainties.values():
            factor *= log_normal(rng, relative)
        drawn = {}
        for name in self.background:
            weights = np.concatenate(self.signals.weights(self.mass, ctau, name))
            samples = self.signals.of_mass(self.mass)
            masses = np.concatenate([s.masses[s.categories == name] for s in samples])
            error = math.sqrt(np.sum(weights**2)) / np.sum(weights) if len(weights) else 0.0
            expected = factor * log_normal(rng, error) * weights
            drawn[name] = np.repeat(masses, rng.poisson(expected))
        return drawn

    def workspace(self, candidates):
        decays, uncertainties = self.ds_yield.decays, self.uncertainties
        hypothesis = Hypothesis(
            self.mass, self.signals, decays, candidates, uncertainties, unblind=True
        )
        return hypothesis.workspace(self.mixing)


def log_normal(rng, relative):
    return (1 + relative) ** rng.standard_normal()


def slope_of(masses):
    """Return the slope of the exponential in the range that has the mean of the masses."""
    mean = (np.mean(masses) - MINIMUM_MASS) / RANGE

    def excess(s):
        return 1 / -math.expm1(-s) - 1 / s - mean

    # a slope of 0 is flat; the formula would be 0/0
    return brentq(excess, -50.0, -1e-3) / RANGE if mean < 0.4998 else -1e-3 / RANGE


def fitted_strength(spec):
    """Return the maximum-likelihood strength, and its errors below and above."""
    model = prepare(spec)
    with backend(Optimizer(model.pdf)):
        options = {"return_fitted_val": True}
        best, lowest = pyhf.infer.mle.fit(model.data, model.pdf, **options)
        strength = float(best[model.pdf.config.poi_index])

        def rise(mu):
            _, deviance = pyhf.infer.mle.fixed_poi_fit(mu, model.data, model.pdf, **options)
            return float(deviance - lowest) - 1

        up = brentq(rise, strength, strength + FARTHEST, rtol=1e-4) - strength
        # a strength cannot be negative: near 0 there is no lower error
        down = strength - brentq(rise, 0.0, strength, rtol=1e-4) if rise(0.0) > 0 else up
    return model.unit * strength, model.unit * down, model.unit * up


def one(truth, seed):
    """Return the numbers of one toy, drawn with a child of the common seed."""
    rng = np.random.default_rng(seed)
    background, signal = truth.draw_background(rng), truth.draw_signal(rng)
    both = {name: np.concatenate([background[name], signal[name]]) for name in background}
    strength, down, up = fitted_strength(truth.workspace(both))
    limit = upper_limit(truth.workspace(truth.draw_background(rng)), toys=0)
    return {
        "injected": sum(len(masses) for masses in signal.values()),
        "strength": strength,
        "error_down": down,
        "error_up": up,
        "pull": (strength - 1) / (down if strength > 1 else up),
        "limit": limit.as_json(),
    }


def summary(results):
    pulls = np.array([result["pull"] for result in results])
    limits = np.array([result["limit"]["observed"] for result in results])
    low2, low1, median, high1, high2 = np.array([r["limit"]["expected"] for r in results]).T
    width = float(np.std(pulls, ddof=1))
    return {
        "mean_strength": float(np.mean([result["strength"] for result in results])),
        "median_strength": float(np.median([result["strength"] for result in results])),
        "pull_median": float(np.median(pulls)),
        "pull_mean": float(np.mean(pulls)),
        "pull_mean_error": width / math.sqrt(len(pulls)),
        "pull_width": width,
        "pull_width_error": width / math.sqrt(2 * (len(pulls) - 1)),
        "mean_limit": float(np.mean(limits)),
        "mean_expected_limit": float(np.mean(median)),
        "within_one_sigma": float(np.mean((low1 <= limits) & (limits <= high1))),
        "within_two_sigma": float(np.mean((low2 <= limits) & (limits <= high2))),
    }


def draw(results, path):
    numbers = summary(results)
    with cms_style():
        figure = Figure(figsize=(20, 9), layout="constrained")
        left, right = figure.subplots(1, 2)
        pulls = [result["pull"] for result in results]
        edges = np.linspace(-4, 4, 17)
        left.hist(pulls, edges, histtype="stepfilled", alpha=0.4, label=f"{len(pulls)} toys")
        x = np.linspace(-4, 4, 200)
        height = len(pulls) * (edges[1] - edges[0]) / np.sqrt(2 * np.pi)
        left.plot(x, height * np.exp(-(x**2) / 2), label="unit Gaussian")
        left.set_xlabel("Pull of the signal strength")
        left.set_ylabel("Toys / 0.5")
        left.set_ylim(0, 1.45 * left.get_ylim()[1])
        text = (
            f"mean {numbers['pull_mean']:+.2f} ± {numbers['pull_mean_error']:.2f}\n"
            f"width {numbers['pull_width']:.2f} ± {numbers['pull_width_error']:.2f}"
        )
        left.text(0.04, 0.96, text, transform=left.transAxes, va="top")
        left.legend(loc="upper right")

        ordered = sorted(results, key=lambda result: result["limit"]["observed"])
        expected = np.array([result["limit"]["expected"] for result in ordered]).T
        at = np.arange(len(ordered))
        for low, high, color, label in BANDS:
            right.fill_between(
                at, expected[low], expected[high], step="mid", color=color, label=label
            )
        right.step(at, expected[2], "k--", where="mid", label="Median expected")
        right.plot(at, [result["limit"]["observed"] for result in ordered], "ko", label="Observed")
        right.set_xlabel("Toy without signal, by its limit")
        right.set_ylabel("Upper limit on the strength, 95% CL")
        right.set_ylim(0, 1.5 * right.get_ylim()[1])
        right.text(
            0.04, 0.96, f"{numbers['within_two_sigma']:.0%} within $\\pm2\\sigma$",
            transform=right.transAxes, va="top",
        )  # fmt: skip
        right.legend(loc="upper right")
        figure.savefig(path)


def made(name, events, folder):
    """Make toys and run over them."""
    fileset = TOYS[name](folder / f"{name}_toys", events, 1)
    files = load_fileset(fileset)
    analysis = blinded(load_analysis(name), files, unblind=True)
    return run(analysis, files, folder / name, Options("iterative", overwrite=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50, help="number of toys")
    parser.add_argument("--seed", type=int, help="common seed of all toys (default: random)")
    parser.add_argument("--mass", type=float, default=1.5, help="simulated mass of the signal, GeV")
    parser.add_argument("--mixing", type=float, default=1.15e-4, help="|V|² of the signal")
    parser.add_argument("--run", type=Path, help="run of hnl (default: made from toys)")
    parser.add_argument("--normalisation", type=Path, help="fitted run of ds_phipi, same data")
    parser.add_argument("--events", type=int, default=200_000, help="number of events of the toys")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, default=Path("hnl_injection"))
    arguments = parser.parse_args()
    if (arguments.run is None) != (arguments.normalisation is None):
        parser.error("--run and --normalisation belong together")
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.run:
        search, normalisation = RunFolder(arguments.run), RunFolder(arguments.normalisation)
    else:
        search = made("hnl", arguments.events, arguments.output)
        normalisation = made("ds_phipi", arguments.events, arguments.output)
        normalisation.write("fit.json", fit_mass(normalisation).as_json())
    truth = Truth.of_runs(search, normalisation, arguments.mass, arguments.mixing)
    if truth.mass not in truth.signals.masses:
        parser.error(f"--mass: simulated are {truth.signals.masses}")
    sequence = np.random.SeedSequence(arguments.seed)
    seeds = sequence.spawn(arguments.seeds)
    with ProcessPoolExecutor(arguments.workers) as pool:
        results = list(pool.map(one, [truth] * len(seeds), seeds))
    content = {
        "seed": sequence.entropy,
        "mass": truth.mass,
        "mixing": truth.mixing,
        "background": {name: number for name, (number, _) in truth.background.items()},
        "mean_injected": float(np.mean([result["injected"] for result in results])),
        "summary": summary(results),
    }
    (arguments.output / "hnl_injection.json").write_text(
        json.dumps({**content, "results": results}, indent=1) + "\n"
    )
    draw(results, arguments.output / "hnl_injection.png")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
