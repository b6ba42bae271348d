"""Time of fits, limits, rankings and toys of a template model, with this package and with others.

The model has 10 regions of 20 bins, five processes, a free background, 60 nuisance parameters (40
of them change yields and shapes) and a statistical uncertainty for each bin.

    python benchmarks/template_inference.py            # this package
    python benchmarks/template_inference.py pyhf       # pyhf with MINUIT and no derivatives
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import numpy as np

REGIONS, BINS, NUISANCES = 10, 20, 60
PROCESSES = {"signal": 20.0, "top": 400.0, "diboson": 150.0, "z_jets": 700.0, "other": 60.0}


def workspace(seed=1, regions=REGIONS, bins=BINS, nuisances=NUISANCES):
    """Return the model with data drawn from it at a strength of 1."""
    rng = np.random.default_rng(seed)
    x = (np.arange(bins) + 0.5) / bins
    sources = {f"source_{i:02d}": rng.uniform(0.01, 0.1, 3) for i in range(nuisances - 1)}
    touched = {name: rng.random((regions, len(PROCESSES))) < 0.6 for name in sources}
    channels, observations = [], []
    for region in range(regions):
        samples, total = [], np.zeros(bins)
        for place, (process, events) in enumerate(PROCESSES.items()):
            peak = 0.2 + 0.06 * region
            shape = np.exp(-0.5 * ((x - peak) / 0.15) ** 2) if place == 0 else np.exp(-2 * x)
            nominal = events * shape / shape.sum() * rng.uniform(0.5, 1.5)
            total += nominal
            modifiers = [{"name": "lumi", "type": "lumi", "data": None}]
            if process in ("signal", "top"):
                name = {"signal": "mu", "top": "top_norm"}[process]
                modifiers.append({"name": name, "type": "normfactor", "data": None})
            errors = nominal * 0.03 * rng.uniform(0.5, 1.5, bins)
            modifiers.append(
                {"name": f"stat_{region}", "type": "staterror", "data": errors.tolist()}
            )
            for number, (name, (size, tilt, skew)) in enumerate(sources.items()):
                if not touched[name][region, place]:
                    continue
                high, low = 1 + size, 1 / (1 + size * (0.8 + 4 * skew))
                modifiers.append({"name": name, "type": "normsys", "data": {"hi": high, "lo": low}})
                if number % 3 < 2:
                    slope = tilt * (x - 0.5)
                    data = {
                        "hi_data": (nominal * (1 + slope)).tolist(),
                        "lo_data": (nominal * (1 - 0.8 * slope)).tolist(),
                    }
                    modifiers.append({"name": name, "type": "histosys", "data": data})
            samples.append({"name": process, "data": nominal.tolist(), "modifiers": modifiers})
        name = f"region_{region}"
        channels.append({"name": name, "samples": samples})
        observations.append({"name": name, "data": rng.poisson(total).astype(float).tolist()})
    lumi = {
        "name": "lumi",
        "auxdata": [1.0],
        "sigmas": [0.02],
        "bounds": [[0.5, 1.5]],
        "inits": [1.0],
    }
    strength = {"name": "mu", "inits": [1.0], "bounds": [[0.0, 10.0]]}
    config = {"poi": "mu", "parameters": [lumi, strength]}
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [{"name": "observed", "config": config}],
        "version": "1.0.0",
    }


def timed(label, function):
    begin, cpu = time.perf_counter(), time.process_time()
    result = function()
    seconds = time.perf_counter() - begin
    row = {"step": label, "seconds": round(seconds, 3), "cpu": round(time.process_time() - cpu, 3)}
    print(json.dumps(row | {"load": round(os.getloadavg()[0], 1)}), flush=True)
    return result


def with_pyhf(spec):
    """Time pyhf's own fits with MINUIT."""
    import pyhf

    from bphcoffea.statistics.pyhf_backend import backend, schemas

    with backend(pyhf.optimize.minuit_optimizer()), schemas():
        built = pyhf.Workspace(spec, validate=False)
        model = timed("model", built.model)
        data = built.data(model)
        init = np.array(model.config.suggested_init())
        timed("100 evaluations", lambda: [model.logpdf(init, data) for _ in range(100)])
        # uncertainties: HESSE
        options = {"return_uncertainties": True, "return_fitted_val": True}
        _, value = timed("fit", lambda: pyhf.infer.mle.fit(data, model, **options))
        print(float(value))
        print(
            timed(
                "one hypothesis test",
                lambda: pyhf.infer.hypotest(0.5, data, model, return_expected_set=True),
            )
        )


def with_this_package(spec):
    """Time the inference of this package."""
    from bphcoffea.statistics import inference

    model = timed("model", lambda: inference.WorkspaceModel.of(spec))
    timed("10 fits", lambda: [model.fit(model.data) for _ in range(10)])
    result = timed("fit with errors", lambda: inference.fit(model))
    print(result.deviance, result.strength.value, result.strength.error)
    timed("MINOS", lambda: inference.fit(model, minos=True))
    timed("significance", lambda: inference.significance(model))
    print(timed("limit", lambda: inference.limit(model)).limit)
    timed("yields", lambda: inference.yields(model, result))
    ranking = timed("ranking", lambda: inference.rank(model))
    print(len(ranking.impacts), "parameters")
    timed("200 toys", lambda: inference.goodness_of_fit(model, toys=200, processes=1))
    small = inference.WorkspaceModel.of(workspace(regions=3, bins=8, nuisances=8))
    print(small.pdf.config.npars, "parameters")
    timed("2000 toys", lambda: inference.goodness_of_fit(small, toys=2000, processes=1))
    timed("limit with 1000 toys", lambda: inference.limit(small, toys=1000, processes=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", nargs="?", default="bphcoffea", choices=("bphcoffea", "pyhf"))
    package = parser.parse_args().package
    spec = workspace()
    (with_pyhf if package == "pyhf" else with_this_package)(spec)
    return 0


if __name__ == "__main__":
    sys.exit(main())
