"""Injection of τ → 3μ into the whole chain: toys with a known branching fraction → runs.

For each seed data with the given B(τ → 3μ) are generated and analysed together with simulation that
is the same for all seeds. The run folders, and beside each the truth of its data, stay in the
output folder: B is to be measured in each of them. The number of injected decays is a Poisson
number, as in data.

    python benchmarks/tau3mu_injection.py --seeds 50 -o tau3mu_injection
"""

import argparse
import json
import os
from pathlib import Path

from loky import ProcessPoolExecutor

from bphcoffea.corrections import load as load_corrections
from bphcoffea.datasets import load
from bphcoffea.execution import Options, blinded, load_analysis, run
from bphcoffea.toys.tau3mu import SAMPLES, write_tau3mu
from bphcoffea.toys.tau3mu.samples import REFERENCE_BRANCHING

#: Seed of the simulation, which no data have.
SIMULATION = 0


def write_simulation(folder, events):
    """Write the simulated samples, and return their fileset with absolute paths."""
    samples = [sample for sample in SAMPLES if sample.is_mc]
    return absolute(write_tau3mu(folder, events, SIMULATION, samples=samples))


def write_data(folder, events, seed, branching, simulation):
    """Write data of one seed, and a fileset that also names the simulation."""
    samples = [sample for sample in SAMPLES if not sample.is_mc]
    path = write_tau3mu(folder, events, seed, branching, samples)
    path.write_text(json.dumps({**absolute(path), **simulation}, indent=1) + "\n")
    return path


def absolute(path):
    """Datasets of a fileset whose paths are relative to it."""
    return {
        name: {
            **entry,
            "files": {str((path.parent / f).resolve()): t for f, t in entry["files"].items()},
        }
        for name, entry in json.loads(path.read_text()).items()
    }


def chain(seed, arguments, simulation):
    """Generate and analyse the data of one seed: the run's folder and what was injected."""
    folder = arguments.output / f"seed_{seed}"
    fileset = write_data(folder / "toys", arguments.events, seed, arguments.branching, simulation)
    truth = json.loads((folder / "toys" / "truth.json").read_text())
    corrections = load_corrections([folder / "toys" / "corrections.toml"])
    files = load(fileset)
    analysis = blinded(load_analysis("tau3mu").corrected(corrections), files, unblind=True)
    run(analysis, files, folder / "run", Options("iterative"))
    for path in (folder / "toys").glob("*.root"):
        path.unlink()  # 50 seeds would fill a disk
    signal = ("tau3mu_d", "tau3mu_b")
    return {
        "seed": seed,
        "run": str(folder / "run"),
        "generated": sum(known["generated"][p] for known in truth.values() for p in signal),
        "selected": sum(known["selected"][p] for known in truth.values() for p in signal),
        "background": sum(known["selected"]["all"] for known in truth.values()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50, help="how many toys")
    parser.add_argument("--branching", type=float, default=REFERENCE_BRANCHING)
    parser.add_argument("--events", type=int, default=200_000, help="data-like events of each")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, default=Path("tau3mu_injection"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    simulation = write_simulation(arguments.output / "simulation", arguments.events)
    seeds = range(1, arguments.seeds + 1)
    with ProcessPoolExecutor(arguments.workers) as pool:
        jobs = [pool.submit(chain, seed, arguments, simulation) for seed in seeds]
        results = [job.result() for job in jobs]
    content = {"branching": arguments.branching, "events": arguments.events, "results": results}
    (arguments.output / "tau3mu_injection.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
