"""Content of fit.json for tests of what is made of it, and folders of runs to fit."""

import json

import hist

from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.analysis.names import ALL, NOMINAL
from bphcoffea.results.folder import RunFolder
from bphcoffea.results.histogram_files import write_histograms
from bphcoffea.statistics.mass_fit import MassFit, Parameter

#: Parameters of all functions of peaks and backgrounds.
VALUES = {
    "n_ds": 2000.0,
    "mean_ds": 1.968,
    "sigma_ds": 0.010,
    "gamma_ds": 0.012,
    "n_dplus": 600.0,
    "mean_dplus": 1.870,
    "sigma_dplus": 0.009,
    "gamma_dplus": 0.004,
    "beta": 1.4,
    "m": 2.5,
    "beta_high": 1.7,
    "m_high": 4.0,
    "n_background": 2500.0,
    "slope": -2.0,
    "bernstein_1": 0.3,
    "bernstein_2": 0.4,
    "bernstein_3": 0.6,
}


def mass_fit(value, error, *problems):
    """Return the JSON of a mass fit with a yield of Ds."""
    peak = Peak(name="ds", label="$D_s$", mass=1.97, width=0.01)
    model = MassModel(histogram="mass", peaks=(peak,))
    parameters = {"n_ds": Parameter(value, error, False, (0.0, 1e6), "")}
    return MassFit(model, (1.65, 2.01), 1e4, parameters, problems=problems).as_json()


def fit_of(data, simulation, value, error, *, simulated=250.0, shift=1.02, problems=()):
    """Return a fit of Ds → φπ: of data, of its simulation, and both with the alternative model."""
    of_simulation = {"ds": {"datasets": simulation, **mass_fit(simulated, 5.0)}}
    return {
        "analysis": "ds_phipi",
        "histogram": "mass",
        "datasets": data,
        "complete": True,
        "partial": False,
        "luminosity": None,
        **mass_fit(value, error, *problems),
        "simulation": of_simulation,
        "alternative": {**mass_fit(shift * value, error), "simulation": of_simulation},
    }


def write_run(folder, spectra, metadata, fit):
    """Write the folder of a run with mass histograms.

    Parameters
    ----------
    folder
        The folder.
    spectra
        Histogram of each dataset, or histograms of its categories by name.
    metadata
        Metadata of each dataset.
    fit
        Mass model; None if the analysis has none.
    """
    first = next(iter(spectra.values()))
    categories = list(first) if isinstance(first, dict) else [ALL]
    mass = (first[categories[0]] if isinstance(first, dict) else first).axes[0]
    histogram = hist.Hist(
        hist.axis.StrCategory(list(spectra), name="dataset"),
        hist.axis.StrCategory(categories, name="category"),
        hist.axis.StrCategory([NOMINAL], name="variation"),
        mass,
        storage=hist.storage.Weight(),
    )
    for index, content in enumerate(spectra.values()):
        parts = content.values() if isinstance(content, dict) else [content]
        for place, part in enumerate(parts):
            histogram.view()[index, place, 0, :] = part.view()
    write_histograms(folder, {"mass": histogram}, {})
    analysis = {"name": "ds_phipi", "fit": None if fit is None else fit.model_dump(mode="json")}
    analysis["histograms"] = {"mass": {"variable": "mass", "label": "$m$", "unit": "GeV"}}
    luminosities = {n: k.get("luminosity") for n, k in metadata.items() if not k["is_mc"]}
    files = {
        "ledger": {"complete": True, "expected_events": 10, "processed_events": 10},
        "lumis": {},
        "luminosity": {
            "sections_shared": False,
            "datasets": {n: {"luminosity": x, "source": "table"} for n, x in luminosities.items()},
            "parts": [{"datasets": [n], "luminosity": x} for n, x in luminosities.items()],
        },
        "provenance": {"datasets": metadata},
        "analysis": analysis,
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return RunFolder(folder)
