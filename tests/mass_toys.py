"""Toys of mass spectra with known truth, and the model that they are drawn from."""

import hist
import numpy as np

from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.statistics.mass_fit import MassFit, Parameter

DS = Peak(name="ds", label="$D_s^+$", mass=1.968, width=0.010, process="dsphipi")
DPLUS = Peak(name="dplus", label="$D^+$", mass=1.870, width=0.010)
MODEL = MassModel(histogram="mass", peaks=(DS, DPLUS), range=(1.65, 2.01))
BINS, LOW, HIGH = 62, 1.65, 2.01
EDGES = np.linspace(LOW, HIGH, BINS + 1)
SEED = 20240501
TRUTH = {
    "n_ds": 2000.0,
    "mean_ds": 1.968,
    "sigma_ds": 0.010,
    "n_dplus": 600.0,
    "mean_dplus": 1.870,
    "sigma_dplus": 0.009,
    "n_background": 2500.0,
    "slope": -2.0,
    "beta": 2.0,
    "m": 3.0,
}
VOIGTIAN = MODEL.model_copy(update={"shape": "voigtian"})


def known_fit(truth=TRUTH, model=MODEL, bins=BINS):
    """The model with the parameters of the truth, from which toys are drawn."""
    parameters = {name: Parameter(value, None, True, None, "") for name, value in truth.items()}
    return MassFit(model, tuple(np.linspace(LOW, HIGH, bins + 1)), 0.0, parameters)


def spectrum(counts, weight=1.0):
    histogram = hist.Hist(
        hist.axis.Regular(BINS, LOW, HIGH, name="mass"), storage=hist.storage.Weight()
    )
    histogram.view().value = counts * weight
    histogram.view().variance = counts * weight**2
    return histogram


def toy(rng, truth=TRUTH, model=MODEL, weight=1.0):
    mean = sum(known_fit(truth, model).expected().values())
    return spectrum(rng.poisson(mean).astype(float), weight)
