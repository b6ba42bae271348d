"""Coverage of the strength, pulls, and bands of limits over toys of a small template model.

Toys of the model in tests/two_regions.py are drawn with strength 1: how often the 68% interval of
the strength (from HESSE and from MINOS) contains the truth, and the pulls of all nuisance
parameters. Toys without signal: how often the observed limit is in the expected bands.

    python benchmarks/template_coverage.py --toys 300
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from two_regions import two_regions

from bphcoffea.statistics.cls_limits import asymptotic_limit
from bphcoffea.statistics.inference import WorkspaceModel, fit
from bphcoffea.statistics.optimizer import Optimizer


def intervals(model, toys, rng):
    """Return what the fits of toys with signal say of the strength and the parameters."""
    truth = model.initial
    hesse, minos, pulls = [], [], []
    for _ in range(toys):
        # global observables are drawn as well: pulls are relative to the true values
        result = fit(replace(model, data=model.pdf.draw(truth, rng)), minos=True)
        best = result.strength
        hesse.append((best.value - 1) / best.error)
        low, high = result.interval
        minos.append(low <= 1 <= high)
        pulls.append(
            [
                (p.value - p.before) / p.error
                for p in result.parameters
                if p.before is not None and not p.name.endswith("]")
            ]
        )
    names = [p.name for p in result.parameters if p.before is not None and "[" not in p.name]
    pulls = np.array(pulls)
    return {
        "coverage_hesse": float(np.mean(np.abs(hesse) < 1)),
        "coverage_minos": float(np.mean(minos)),
        "pull_of_strength": [float(np.mean(hesse)), float(np.std(hesse))],
        "pulls": {
            name: [round(float(x), 3) for x in (np.mean(values), np.std(values))]
            for name, values in zip(names, pulls.T, strict=True)
        },
    }


def bands(model, toys, rng):
    """Return how often limits without signal are in the expected bands."""
    truth = model.initial
    truth[model.poi] = 0.0
    rows = []
    for _ in range(toys):
        toy = replace(model, data=model.pdf.draw(truth, rng))
        limit = asymptotic_limit(toy, Optimizer(toy.pdf), level=0.95, blinded=False)
        rows.append((limit.observed, *limit.expected))
    observed, low2, low1, median, high1, high2 = np.array(rows).T
    return {
        "within_one_sigma": float(np.mean((low1 <= observed) & (observed <= high1))),
        "within_two_sigma": float(np.mean((low2 <= observed) & (observed <= high2))),
        "above_median": float(np.mean(observed > median)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toys", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    model = WorkspaceModel.of(two_regions())
    print(json.dumps(intervals(model, options.toys, rng), indent=1), flush=True)
    print(json.dumps(bands(model, options.toys, rng), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
