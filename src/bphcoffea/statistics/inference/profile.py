"""Scan of the profile likelihood of the strength."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bphcoffea.errors import FitError
from bphcoffea.statistics.inference.likelihood_fit import crossing
from bphcoffea.statistics.inference.workspace_model import WorkspaceModel
from bphcoffea.statistics.records import Record

#: Rise of -2 ln L at the ends of the 68% and 95% intervals.
RISES = (1.0, 3.84)
#: Range of a scan in errors of the strength, and number of points.
SIGMAS, POINTS = 3.0, 31


@dataclass(frozen=True)
class ProfileScan(Record):
    """Rise of -2 ln L with the strength, minimised over all other parameters.

    Attributes
    ----------
    poi, best, error
        Name of the strength, its best value, and its error.
    strengths, rises
        Tested strengths, and -2 ln L minus its minimum.
    intervals
        68% and 95% intervals; a limit of the strength's range cuts them.
    asimov
        Whether expected data were fitted.
    """

    poi: str
    best: float
    error: float
    strengths: tuple[float, ...]
    rises: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    asimov: bool


def scan(
    model: WorkspaceModel,
    *,
    low: float | None = None,
    high: float | None = None,
    points: int = POINTS,
    asimov: bool = False,
) -> ProfileScan:
    """Scan the profile likelihood of the strength.

    Parameters
    ----------
    model
        The model. If it is blinded, expected data are used.
    low, high
        Ends of the scan, by default `SIGMAS` errors from the best value, within the range of the
        strength.
    points
        Number of points.
    asimov
        Use expected data, with the signal at its start value.

    Raises
    ------
    FitError
        If a fit does not converge, or the range is empty.
    """
    data, expected = model.chosen_data(asimov=asimov)
    strength, best, lowest = model.fit(data)
    covariance, _ = model.covariance(best, data)
    error = float(np.sqrt(covariance[model.poi, model.poi])) * model.unit
    poi = model.pdf.config.parameters[model.poi]
    first = max(strength - SIGMAS * error, poi.low * model.unit) if low is None else low
    last = min(strength + SIGMAS * error, poi.high * model.unit) if high is None else high
    if not (first < last and points > 1):
        raise FitError(f"a scan from {first:g} to {last:g} in {points} points has no range")
    strengths, rises, latest = np.linspace(first, last, points), [], best
    for mu in strengths:
        _, latest, deviance = model.fit(data, {model.poi: mu / model.unit}, latest)
        rises.append(deviance - lowest)
    intervals = tuple(
        (
            crossing(model, data, best, lowest + rise, strength, -error * rise**0.5),
            crossing(model, data, best, lowest + rise, strength, error * rise**0.5),
        )
        for rise in RISES
    )
    curve = tuple(max(float(rise), 0.0) for rise in rises)
    return ProfileScan(
        poi.name, strength, error, tuple(strengths.tolist()), curve, intervals, expected
    )
