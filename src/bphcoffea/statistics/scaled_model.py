"""Likelihood of a search's workspace, scaled so that all parameters are of order 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.workspace import SampleSpec, Workspace

#: Expected events where a division would be by zero.
TINY = 1e-30


@dataclass(frozen=True)
class ScaledModel:
    """A model and its data; a strength of 1 is about the upper limit.

    Attributes
    ----------
    pdf, data
        Model, and observed counts with auxiliary data.
    unit
        Strength in the workspace that corresponds to a strength of 1.
    """

    pdf: Likelihood
    data: Floats
    unit: float


def prepare(spec: Workspace) -> ScaledModel:
    """Return the scaled model of a workspace.

    Uncertainties are log-normal, also within one sigma; the polynomial that pyhf uses there by
    default would not be monotonic.

    Parameters
    ----------
    spec
        Valid workspace whose parameter of interest is a strength: one bin per channel, or spectra.

    Raises
    ------
    ValueError
        If no signal is expected.
    """
    unit = unit_of(spec)
    if unit == np.inf:
        raise ValueError("no signal is expected in any channel: its strength cannot be fitted")
    likelihood = Likelihood(spec, unit=unit, interpolation="code1")
    return ScaledModel(likelihood, likelihood.data, unit)


def unit_of(spec: Workspace) -> float:
    """Return a rough estimate of the upper limit on the strength; infinite without signal."""
    signals = _signals(spec)
    information = 0.0
    for channel in spec["channels"]:
        bins = len(channel["samples"][0]["data"])
        signal, variance = np.zeros(bins), np.zeros(bins)
        for sample in channel["samples"]:
            expected = np.array(sample["data"])
            if any(sample is other for other in signals):
                signal += expected
                continue
            variance += expected
            # uncertainties of a spectrum move its shape as a whole: no bin varies by so much
            for modifier in sample["modifiers"] if bins == 1 else ():
                if modifier["type"] == "normsys":
                    variance += (expected * (modifier["data"]["hi"] - 1)) ** 2
        total = float(np.sum(signal))
        if total > 0:
            # variance of a single bin with the same sensitivity
            equivalent = total**2 / float(np.sum(signal**2 / np.maximum(variance, TINY)))
            # without any event, three are excluded: two sigma of 1.5
            information += total**2 / (equivalent + 1.5**2)
    return 2 / float(np.sqrt(information)) if information else np.inf


def _signals(spec: Workspace) -> list[SampleSpec]:
    """Return the samples that the strength multiplies."""
    strength = spec["measurements"][0]["config"]["poi"]
    return [
        sample
        for channel in spec["channels"]
        for sample in channel["samples"]
        if any(modifier["name"] == strength for modifier in sample["modifiers"])
    ]
