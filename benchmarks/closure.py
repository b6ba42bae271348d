"""Closure of the Ds → φπ chain: toys → run → fit, over many seeds.

Measured for each seed:

- The pull of a yield, (fitted − expected) / fitted error. The expected yield is the mean number of
  true, selected candidates in the range of the fit over all seeds, because the error of an extended
  fit includes the Poisson fluctuation of the yield.
- The number of Ds to which a search is normalised: the ratio of the Ds → φπ decays found, with the
  efficiency of the simulation, to those generated before the generator's filter. Its error includes
  that of the fit model.

    python benchmarks/closure.py --seeds 100 -o closure
"""

import argparse
import json
import math
import os
import tempfile
from pathlib import Path

import numpy as np
from loky import ProcessPoolExecutor
from matplotlib.figure import Figure

from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.presentation.style import cms_style
from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.statistics import fit_mass
from bphcoffea.toys import TOYS
from bphcoffea.toys.ds_phipi.samples import FILTER_EFFICIENCY

PEAKS = {"ds": "ds_phipi", "dplus": "dplus_phipi"}
#: Uncertainties of the number of Ds that are independent in each toy.
OWN = ("ds_yield", "ds_efficiency", "ds_fit_model")
LABELS = {"ds": r"$D_s$", "dplus": r"$D^+$"}


def chain(seed, events):
    """Make, run and fit the toy of one seed; return fitted yields, errors and the truth."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fileset = TOYS["ds_phipi"](folder / "toys", events, seed)
        truth = json.loads((folder / "toys" / "truth.json").read_text())
        corrections = load_corrections([folder / "toys" / "corrections.toml"])
        analysis = load_analysis("ds_phipi").corrected(corrections)
        results = run(analysis, load_fileset(fileset), folder / "run", Options("iterative"))
        fit = fit_mass(results)
        results.write("fit.json", fit.as_json())
        number = DsYield.of_run(results) if fit.fit.valid else None
    samples = [known for name, known in truth.items() if "mc" not in name]
    data = [known["selected_in_fit_range"] for known in samples]
    generated = sum(known["generated"]["ds_phipi"] for known in samples) / FILTER_EFFICIENCY
    return {
        "seed": seed,
        "valid": fit.fit.valid,
        "problems": fit.fit.problems,
        "p_value": fit.fit.p_value,
        "number_of_ds": number and of_generated(number, generated),
        **{
            peak: {
                "fitted": fit.parameters[f"n_{peak}"].value,
                "error": fit.parameters[f"n_{peak}"].error,
                "true": sum(known[process] for known in data),
            }
            for peak, process in PEAKS.items()
        },
    }


def of_generated(number, generated):
    """Return the ratio of the Ds → φπ decays found to those generated, and its error."""
    ratio = number.fitted / number.efficiency / generated
    known = number.uncertainties()
    return {"ratio": ratio, "error": ratio * math.hypot(*(known.get(name, 0) for name in OWN))}


def pulls(results, peak):
    expected = np.mean([result[peak]["true"] for result in results])
    return np.array([(r[peak]["fitted"] - expected) / r[peak]["error"] for r in results])


def summary(results):
    rows = {}
    for peak in PEAKS:
        pull = pulls(results, peak)
        rows[peak] = {
            "expected_yield": float(np.mean([r[peak]["true"] for r in results])),
            "mean_fitted": float(np.mean([r[peak]["fitted"] for r in results])),
            "mean_error": float(np.mean([r[peak]["error"] for r in results])),
            "pull_mean": float(np.mean(pull)),
            "pull_width": float(np.std(pull, ddof=1)),
            "pull_mean_error": float(np.std(pull, ddof=1) / np.sqrt(len(pull))),
        }
    numbers = [result["number_of_ds"] for result in results]
    ratios = np.array([number["ratio"] for number in numbers])
    pull = (ratios - 1) / [number["error"] for number in numbers]
    rows["number_of_ds"] = {
        "mean_ratio": float(np.mean(ratios)),
        "mean_ratio_error": float(np.std(ratios, ddof=1) / np.sqrt(len(ratios))),
        "within_one_sigma": float(np.mean(np.abs(pull) < 1)),
        "pull_mean": float(np.mean(pull)),
        "pull_width": float(np.std(pull, ddof=1)),
    }
    return rows


def draw(results, path):
    with cms_style():
        figure = Figure(figsize=(16, 8), layout="constrained")
        for axes, peak in zip(figure.subplots(1, len(PEAKS)), PEAKS, strict=True):
            pull = pulls(results, peak)
            edges = np.linspace(-4, 4, 17)
            axes.hist(pull, edges, histtype="stepfilled", alpha=0.4, label=f"{len(pull)} toys")
            x = np.linspace(-4, 4, 200)
            height = len(pull) * (edges[1] - edges[0]) / np.sqrt(2 * np.pi)
            axes.plot(x, height * np.exp(-(x**2) / 2), label="unit Gaussian")
            axes.set_xlabel(f"Pull of the {LABELS[peak]} yield")
            axes.set_ylabel("Toys / 0.5")
            axes.set_ylim(0, 1.45 * axes.get_ylim()[1])
            text = f"mean {np.mean(pull):+.2f}\nwidth {np.std(pull, ddof=1):.2f}"
            axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top")
            axes.legend(loc="upper right")
        figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, default=Path("closure"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    seeds = range(1000, 1000 + arguments.seeds)
    with ProcessPoolExecutor(arguments.workers) as pool:
        results = list(pool.map(chain, seeds, [arguments.events] * len(seeds)))
    valid = [result for result in results if result["valid"]]
    content = {"events": arguments.events, "valid": len(valid), "summary": summary(valid)}
    (arguments.output / "closure.json").write_text(
        json.dumps({**content, "results": results}, indent=1) + "\n"
    )
    draw(valid, arguments.output / "closure.png")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
