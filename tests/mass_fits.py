"""Content of fit.json for tests of what is made of it."""

from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.statistics.mass_fit import MassFit, Parameter


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
