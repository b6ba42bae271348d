"""Injection of τ → 3μ into the whole chain, from toys to the fitted branching fraction.

For each seed, data with the given B(τ → 3μ) are generated and selected, together with simulation
that is the same for all seeds. B is fitted to the mass spectra of all categories and years,
normalised to one run over toys of Ds → φπ. The number of injected decays is drawn from a Poisson
distribution, as in data.

The pull is (fitted B - B) / error. All its ingredients stay in the output folder.

    python benchmarks/tau3mu_injection.py --seeds 50 -o tau3mu_injection
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from loky import ProcessPoolExecutor
from matplotlib.figure import Figure

from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, blinded, load_analysis, run
from bphcoffea.presentation.style import cms_style
from bphcoffea.results import RunFolder
from bphcoffea.searches.tau3mu.branching_limit import model_of_run
from bphcoffea.searches.tau3mu.rates import STANDARD, Factor
from bphcoffea.statistics import fit_mass, fit_strength
from bphcoffea.toys import TOYS
from bphcoffea.toys.tau3mu import SAMPLES, Tau3MuToy
from bphcoffea.toys.tau3mu.samples import FROM_B, REFERENCE_BRANCHING

#: Seed of the simulation; no data use it.
SIMULATION = 0
#: The toys contain no events that only the trigger on three muons would take.
CORRECTIONS = replace(STANDARD, trimuon=Factor(1.0, 0.0, "none in toys"))


def write_normalisation(folder, events):
    """Select and fit toys of Ds → φπ of the same luminosity, and return the run's folder."""
    files = load_fileset(TOYS["ds_phipi"](folder / "toys", events, SIMULATION))
    corrections = load_corrections([folder / "toys" / "corrections.toml"])
    analysis = load_analysis("ds_phipi").corrected(corrections, nominal_only=True)
    found = run(analysis, files, folder / "run", Options("iterative", overwrite=True))
    found.write("fit.json", fit_mass(found, by="year").as_json())
    return found.path


def write_simulation(folder, events):
    """Write the simulated samples, and return their fileset with absolute paths."""
    samples = tuple(sample for sample in SAMPLES if sample.is_mc)
    return absolute(Tau3MuToy(samples=samples)(folder, events, SIMULATION))


def write_data(folder, events, seed, branching, simulation):
    """Write data of one seed, and a fileset that also names the simulation."""
    samples = tuple(sample for sample in SAMPLES if not sample.is_mc)
    path = Tau3MuToy(branching, samples)(folder, events, seed)
    path.write_text(json.dumps({**absolute(path), **simulation}, indent=1) + "\n")
    return path


def absolute(path):
    """Return the content of a fileset with absolute paths."""
    return {
        name: {
            **entry,
            "files": {str((path.parent / f).resolve()): t for f, t in entry["files"].items()},
        }
        for name, entry in json.loads(path.read_text()).items()
    }


def chain(seed, arguments, simulation, normalisation):
    """Generate and analyse the data of one seed; return the injected and the fitted B."""
    folder = arguments.output / f"seed_{seed}"
    fileset = write_data(folder / "toys", arguments.events, seed, arguments.branching, simulation)
    truth = json.loads((folder / "toys" / "truth.json").read_text())
    corrections = load_corrections([folder / "toys" / "corrections.toml"])
    files = load_fileset(fileset)
    analysis = blinded(
        load_analysis("tau3mu").corrected(corrections, nominal_only=True), files, unblind=True
    )
    found = run(analysis, files, folder / "run", Options("iterative", overwrite=True))
    for path in (folder / "toys").glob("*.root"):
        path.unlink()  # the files of 50 seeds would fill a disk
    model = model_of_run(
        found, RunFolder(normalisation), FROM_B, unblind=True, corrections=CORRECTIONS
    )
    strength = fit_strength(model.workspace([channel.name for channel in model.channels]))
    unit = model.branching
    signal = ("tau3mu_d", "tau3mu_b")
    return {
        "seed": seed,
        "run": str(folder / "run"),
        "branching": strength.value * unit,
        "error": strength.error * unit,
        "pull": (strength.value * unit - arguments.branching) / (strength.error * unit),
        "expected": sum(channel.signal for channel in model.channels) * arguments.branching / unit,
        "generated": sum(known["generated"][p] for known in truth.values() for p in signal),
        "selected": sum(known["selected"][p] for known in truth.values() for p in signal),
        "background": sum(known["selected"]["all"] for known in truth.values()),
    }


def summary(results):
    """Mean and width of the pulls with their errors, and mean numbers of signal events."""
    pulls = np.array([result["pull"] for result in results])
    width = float(np.std(pulls, ddof=1))
    return {
        "mean_branching": float(np.mean([result["branching"] for result in results])),
        "mean_error": float(np.mean([result["error"] for result in results])),
        "pull_mean": float(np.mean(pulls)),
        "pull_mean_error": width / len(pulls) ** 0.5,
        "pull_width": width,
        "pull_width_error": width / (2 * (len(pulls) - 1)) ** 0.5,
        "mean_selected": float(np.mean([result["selected"] for result in results])),
        "mean_expected": float(np.mean([result["expected"] for result in results])),
    }


def draw(results, numbers, path):
    """Draw the distribution of the pulls."""
    with cms_style():
        figure = Figure(figsize=(10, 8), layout="constrained")
        axes = figure.add_subplot()
        edges = np.linspace(-4, 4, 17)
        axes.hist([result["pull"] for result in results], edges, histtype="step", linewidth=2.5)
        x = np.linspace(-4, 4, 400)
        gauss = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
        axes.plot(x, len(results) * (edges[1] - edges[0]) * gauss, linestyle="--")
        axes.set_xlabel("(fitted B - B) / error")
        axes.set_ylabel("Toys")
        text = f"mean {numbers['pull_mean']:.2f} ± {numbers['pull_mean_error']:.2f}"
        text += f"\nwidth {numbers['pull_width']:.2f} ± {numbers['pull_width_error']:.2f}"
        axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize="small")
        figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50, help="number of toys")
    parser.add_argument("--branching", type=float, default=REFERENCE_BRANCHING)
    parser.add_argument("--events", type=int, default=200_000, help="data-like events per toy")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, default=Path("tau3mu_injection"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    simulation = write_simulation(arguments.output / "simulation", arguments.events)
    normalisation = write_normalisation(arguments.output / "ds_phipi", arguments.events)
    seeds = range(1, arguments.seeds + 1)
    with ProcessPoolExecutor(arguments.workers) as pool:
        jobs = [pool.submit(chain, seed, arguments, simulation, normalisation) for seed in seeds]
        results = [job.result() for job in jobs]
    numbers = summary(results)
    content = {"branching": arguments.branching, "events": arguments.events, **numbers}
    print(json.dumps(content, indent=1))
    content["results"] = results
    (arguments.output / "tau3mu_injection.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(results, numbers, arguments.output / "tau3mu_injection.png")


if __name__ == "__main__":
    main()
