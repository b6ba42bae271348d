"""Small folders of runs of τ → 3μ and of Ds → φπ, made without running anything."""

import json

import hist
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uhi.io.json
from mass_fits import fit_of

from bphcoffea.results.folder import RunFolder

#: Widths of the simulated peak, GeV, and half widths of the blind windows.
WIDTHS = {"A": 0.010, "B": 0.016, "C": 0.022}
HALF = {"A": 0.024, "B": 0.038, "C": 0.050}
TAU = 1.777


def write_folder(path, datasets, luminosities, **files):
    """Write what every run folder of the tests holds, and further files."""
    path.mkdir(parents=True, exist_ok=True)
    about = {name: {"luminosity": value, "source": "t.csv"} for name, value in luminosities.items()}
    parts = [{"datasets": [name], "luminosity": value} for name, value in luminosities.items()]
    content = {
        "ledger": {"complete": True, "partial": False, "datasets": {}},
        "provenance": {"datasets": datasets},
        "lumis": {},
        "luminosity": {"sections_shared": False, "datasets": about, "parts": parts},
        "normalisation": {},
        **files,
    }
    for name, value in content.items():
        text = json.dumps(value, default=uhi.io.json.default)
        (path / f"{name}.json").write_text(text)
    return RunFolder(path)


@pytest.fixture(scope="module")
def phi_pi(tmp_path_factory):
    """Make a fitted run of Ds → φπ of 2017 and 2018, each year with simulation."""

    def make(name="phi", luminosities=None, **changes):
        datasets = {
            "data17": {"is_mc": False, "era": "2017D"},
            "data18": {"is_mc": False, "era": "2018D"},
            "mc17": {"is_mc": True, "era": "2017", "process": "ds_phipi", "filter_efficiency": 0.1},
            "mc18": {"is_mc": True, "era": "2018", "process": "ds_phipi", "filter_efficiency": 0.2},
        }
        whole = fit_of(["data17", "data18"], ["mc17", "mc18"], 3000.0, 70.0)
        years = {
            "2017": fit_of(["data17"], ["mc17"], 1000.0, 50.0),
            "2018": fit_of(["data18"], ["mc18"], 2000.0, 40.0, simulated=500.0),
        }
        cutflow = {name: [{"step": "all", "sumw": 10_000.0}] for name in ("mc17", "mc18")}
        files = {"fit": {**whole, "by": years}, "cutflow": cutflow, "analysis": {"name": "ds"}}
        luminosities = luminosities or {"data17": 2.0, "data18": 5.0}
        folder = tmp_path_factory.mktemp("runs") / name
        return write_folder(folder, datasets, luminosities, **(files | changes))

    return make


#: Simulated τ → 3μ: dataset, process, era, filter efficiency, and selected in A and B.
SIMULATION = (
    ("d17", "tau3mu_d", "2017D", 0.5, (250, 150)),
    ("d18", "tau3mu_d", "2018D", 0.25, (300, 200)),
    ("b18", "tau3mu_b", "2018D", 0.5, (100, 120)),
)


@pytest.fixture(scope="module")
def tau3mu(tmp_path_factory):
    """Make a run of τ → 3μ with the categories A and B."""

    def make(
        name="tau", years=("2017", "2018"), simulation=SIMULATION, blind=True, split=False,
        variations=("nominal",), categories=("A", "B"), events=400,
    ):  # fmt: skip
        rng = np.random.default_rng(5)
        bins = {
            f"{c}{n}" if split else c: c for c in categories for n in ((1, 2) if split else (1,))
        }
        tables, datasets, cutflow = {}, {}, {}
        for year in years:
            datasets[f"data{year}"] = {"is_mc": False, "era": f"{year}D", "kind": "data"}
            tables[f"data{year}"] = [
                (category, mass, 1.0)
                for category, parent in bins.items()
                for mass in rng.uniform(1.62, 2.02, events)
                if not (blind and abs(mass - TAU) < HALF[parent])
            ]
        for dataset, process, era, efficiency, selected in simulation:
            datasets[dataset] = {
                "is_mc": True, "era": era, "kind": "signal", "process": process,
                "filter_efficiency": efficiency,
            }  # fmt: skip
            cutflow[dataset] = [
                {"step": "all", "events": 20_000, "candidates": 30_000, "sumw": 20_000.0}
            ]
            tables[dataset] = [
                (category, mass, weight)
                for number, (category, parent) in zip(selected, bins.items(), strict=False)
                for mass, weight in zip(
                    rng.normal(TAU, WIDTHS[parent], number),
                    rng.choice([0.5, 1.5], number),
                    strict=True,
                )
            ]
        axes = (
            hist.axis.StrCategory(list(datasets), name="dataset"),
            hist.axis.StrCategory(list(bins), name="category"),
            hist.axis.StrCategory(list(variations), name="variation"),
            hist.axis.Regular(40, 1.62, 2.02, name="mass"),
        )
        mass = hist.Hist(*axes, storage=hist.storage.Weight())
        folder = tmp_path_factory.mktemp("runs") / name
        (folder / "candidates").mkdir(parents=True)
        for dataset, rows in tables.items():
            category, masses, weights = (list(column) for column in zip(*rows, strict=True))
            columns = {"mass": np.array(masses, np.float32), "category": category}
            pq.write_table(
                pa.table(columns | {"weight": weights}),
                folder / "candidates" / f"{dataset}.parquet",
            )
            for number, variation in enumerate(variations):
                # factors 1, 1.02, 0.96, 1.06, …: up and down of a variation
                factor = 1 + 0.02 * number * (-1) ** (number + 1)
                scaled = factor * np.array(weights)
                mass.fill(dataset, category, variation, np.array(masses), weight=scaled)
        by_category = {c: [[TAU - HALF[c], TAU + HALF[c]]] for c in categories}
        widest = [[TAU - max(HALF[c] for c in categories), TAU + max(HALF[c] for c in categories)]]
        analysis = {
            "name": "tau3mu",
            "title": "τ → 3μ",
            "search": "tau3mu",
            "categories": bins,
            "histograms": {"mass": {"variable": "Triplet_Mass", "label": "m", "unit": "GeV"}},
            "blind": {
                "histogram": "mass", "variable": "Triplet_Mass", "unit": "GeV", "masses": [],
                "windows": widest, "blinded": blind, "hidden": widest if blind else [],
                "by_category": by_category,
            },
        }  # fmt: skip
        luminosities = {f"data{year}": {"2017": 1.0, "2018": 10.0}[year] for year in years}
        files = {"cutflow": cutflow, "histograms": {"mass": mass}, "analysis": analysis}
        return write_folder(folder, datasets, luminosities, **files)

    return make
