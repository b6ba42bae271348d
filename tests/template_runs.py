"""Small runs over made events, with data, signal, backgrounds and variations of both kinds."""

from dataclasses import dataclass

import awkward as ak
import numpy as np
import uproot

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    Histogram,
    Region,
    Selection,
    Shift,
    TemplateFit,
    Variable,
)
from bphcoffea.analysis.weights.weight import Weight
from bphcoffea.corrections import WHOLE, Factor
from bphcoffea.datasets import Fileset
from bphcoffea.execution import Options, run
from bphcoffea.inputs import ReducedNanoAODSchema

met = Variable("met", lambda events: events.MET.pt, "MET", "GeV")
phi = Variable("phi", lambda events: events.MET.phi)
#: Expected events in 1 fb⁻¹, and simulated events, of each process.
PROCESSES = {"signal": (90, 900), "top": (300, 1500), "w_jets": (500, 1100)}


@dataclass(frozen=True)
class Tilt(Weight):
    """Weight with one uncertainty that depends on the variable."""

    name: str = "tilt"

    def evaluate(self, values, context):
        x = np.asarray(values(met), dtype=np.float64) / 100
        up, down = 1 + 0.2 * (x - 0.3), 1 - 0.15 * (x - 0.3)
        return Factor(np.ones(len(x)), {WHOLE: (up, down)} if context.shifted else {})


@dataclass(frozen=True)
class OfTop(Weight):
    """Weight that only the top quarks have."""

    name: str = "top_pt"

    def applies(self, metadata, corrections):
        return metadata.get("process") == "top"

    def evaluate(self, values, context):
        ones = np.ones(len(values(met)))
        return Factor(ones, {WHOLE: (1.1 * ones, 0.95 * ones)} if context.shifted else {})


class Scale(Shift):
    """Energy scale; and a resolution, which has one side."""

    paths = (("MET", "pt"),)

    def variations(self, metadata, corrections):
        if not metadata["is_mc"]:
            return {}
        return {"scaleUp": (0.04, 0.0), "scaleDown": (-0.04, 0.0), "smearUp": (0.0, 0.05)}

    def shifted(self, events, amounts):
        scale, smear = amounts
        noise = np.sin(1e4 * ak.to_numpy(events.MET.phi)) * 1.4
        return {("MET", "pt"): events.MET.pt * (1 + scale + smear * noise)}


class Toy(Analysis):
    """Missing momentum in two regions."""

    schema = ReducedNanoAODSchema
    selection = Selection(Cut("met", met > 5))
    regions = (Region("sr", phi > 0), Region("cr", phi <= 0), Region("wide", phi > -1))
    histograms = (
        Histogram("met", met, Axis(20, 0, 100)),
        Histogram("map", (met, phi), (Axis(4, 0, 100), Axis(2, -3.2, 3.2))),
    )
    columns = (met, phi)
    weights = (Tilt(), OfTop())
    shifts = (Scale(),)
    measurements = (TemplateFit(histogram="met", regions=("sr", "cr"), blind="sr", rebin=4),)


def drawn(rng, process, number):
    """Missing momentum and angle of events of a process."""
    if process == "signal":
        return rng.normal(65, 12, number), rng.uniform(-0.5, 3, number)
    size, low = {"top": (30, -3), "w_jets": (18, -2)}[process]
    return rng.exponential(size, number) + 5, rng.uniform(low, 3, number)


def write_events(path, x, angle, seed, weights=None):
    rng = np.random.default_rng(seed)
    data = {
        "MET_pt": np.abs(x).astype(np.float32),
        "MET_phi": angle.astype(np.float32),
        "genWeight": (np.ones(len(x)) if weights is None else weights).astype(np.float32),
        "run": np.ones(len(x), np.uint32),
        "luminosityBlock": np.ones(len(x), np.uint32),
        "event": rng.permutation(len(x)).astype(np.uint64),
    }
    with uproot.recreate(path) as file:
        file.mktree("Events", {name: values.dtype for name, values in data.items()}).extend(data)


def make_run(folder, era, seed, analysis=None, data=True, mixture=1.0):
    """Run the toy over made events of an era of 1 fb⁻¹; weights of top quarks have both signs."""
    files = folder / "files"
    files.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    datasets = {}
    for process, (expected, number) in PROCESSES.items():
        weights = rng.choice([1.0, -0.5], number, p=[0.9, 0.1]) if process == "top" else None
        write_events(files / f"{process}.root", *drawn(rng, process, number), seed, weights)
        datasets[f"{process}_mc"] = {
            "files": {str(files / f"{process}.root"): "Events"},
            "metadata": {
                "is_mc": True,
                "era": era,
                "process": process,
                "kind": "signal" if process == "signal" else "background",
                "cross_section": expected / 1000,
                "cross_section_uncertainty": 0.0 if process == "signal" else 0.06,
            },
        }
    if data:
        observed = [
            drawn(rng, process, rng.poisson(expected * (mixture if process == "top" else 1)))
            for process, (expected, _) in PROCESSES.items()
        ]
        write_events(
            files / "data.root", *(np.concatenate(of) for of in zip(*observed, strict=True)), seed
        )
        datasets[f"data_{era}"] = {
            "files": {str(files / "data.root"): "Events"},
            "metadata": {"is_mc": False, "era": era, "luminosity": 1.0},
        }
    else:
        for of in datasets.values():
            of["metadata"]["luminosity"] = 1.0
    fileset = Fileset.model_validate(datasets)
    return run(analysis or Toy(), fileset, folder / "results", Options("iterative"))
