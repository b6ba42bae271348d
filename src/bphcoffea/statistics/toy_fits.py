"""Fits of many experiments at once, for toys.

Python's overhead exceeds the arithmetic of a small likelihood, so that all experiments take each
step together. Steps are those of BFGS within limits. The first matrix is the covariance that is
expected at the point at which the toys were drawn, which is the same for all and nearly right: no
experiment needs second derivatives, whose number is the square of that of the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bphcoffea.arrays import Booleans, Floats, Integers
from bphcoffea.statistics.likelihood import Likelihood
from bphcoffea.statistics.optimizer import free_and_limits, minimised

#: Distance to the minimum of -2 ln L at which an experiment is fitted, estimated twice in a row.
DISTANCE = 1e-6
#: Largest number of steps, and of halvings of a step; the optimiser of single fits continues.
STEPS, HALVINGS = 60, 12


def minimised_together(
    likelihood: Likelihood,
    data: Floats,
    start: Floats,
    fixed: Mapping[int, float] | None = None,
    *,
    lowest: float | None = -np.inf,
) -> tuple[Floats, Floats]:
    """Return the parameters at the minimum of -2 ln L of some experiments, and its values.

    Parameters
    ----------
    likelihood
        The model.
    data
        Data of each experiment, shape (experiments, data).
    start
        Point near which the experiments were drawn, shape (parameters,), or one for each, shape
        (experiments, parameters).
    fixed, lowest
        Fixed parameters, and the lower limit of the strength; see
        :func:`bphcoffea.statistics.optimizer.minimised`.

    Returns
    -------
    Parameters of shape (experiments, parameters), and -2 ln L of shape (experiments,).

    Raises
    ------
    pyhf.exceptions.FailedMinimization
        If a fit does not converge.
    """
    starts = np.atleast_2d(start)
    middle, free, limits = free_and_limits(likelihood, np.mean(starts, axis=0), fixed, lowest)
    low, high = (limit[free] for limit in limits)
    at = np.tile(middle, (len(data), 1))
    at[:, free] = np.clip(starts[:, free], low, high)
    values = likelihood.deviances(at, data)
    slopes = likelihood.gradients(at, data)[:, free]
    hessian = likelihood.hessian(middle)[np.ix_(free, free)]
    covariance: Floats = np.linalg.pinv(hessian, hermitian=True).astype(np.float64)
    matrix = _Inverse(covariance, len(data))
    near = np.zeros(len(data), dtype=bool)
    todo = np.arange(len(data))
    for _ in range(STEPS):
        here, force = at[np.ix_(todo, free)], slopes[todo]
        held = np.where(force > 0, here <= low, here >= high)
        step, distance = _step(matrix, todo, force, held)
        done = (distance < DISTANCE) & near[todo]
        near[todo] = distance < DISTANCE
        todo, step, here, force = todo[~done], step[~done], here[~done], force[~done]
        if not len(todo):
            break
        moved = at[todo]
        moved[:, free] = np.clip(here + step, low, high)
        found = likelihood.deviances(moved, data[todo])
        highest = values[todo] + 1e-12 * np.abs(values[todo])
        # the last part is none
        for part in (*(0.5 ** np.arange(1, HALVINGS)), 0.0):
            worse = np.flatnonzero(~(found <= highest))
            if not len(worse):
                break
            moved[np.ix_(worse, free)] = np.clip(here[worse] + part * step[worse], low, high)
            found[worse] = likelihood.deviances(moved[worse], data[todo[worse]])
        at[todo], values[todo] = moved, found
        slopes[todo] = likelihood.gradients(moved, data[todo])[:, free]
        matrix.update(todo, moved[:, free] - here, slopes[todo] - force)
    for index in map(int, todo):
        at[index], values[index] = minimised(
            likelihood, data[index], at[index], fixed, lowest=lowest
        )
    return at, values


class _Inverse:
    """Inverse second derivatives of each experiment, as BFGS estimates them.

    They are a common matrix and, for each step, s aᵀ + a sᵀ with two vectors of the experiment.

    Parameters
    ----------
    common
        The first matrix, shape (n, n).
    experiments
        Number of experiments.
    """

    def __init__(self, common: Floats, experiments: int) -> None:
        self.common = common
        self._pairs = np.zeros((2, STEPS, experiments, len(common)))
        self._steps = 0

    def times(self, vectors: Floats, of: Integers) -> Floats:
        """Return the products with a vector of each of some experiments, shape (experiments, n)."""
        result: Floats = vectors @ self.common
        first, second = self._pairs[:, : self._steps, of]
        result += np.einsum("sen,se->en", first, np.einsum("sen,en->se", second, vectors))
        result += np.einsum("sen,se->en", second, np.einsum("sen,en->se", first, vectors))
        return result

    def columns(self, some: Integers, of: Integers) -> Floats:
        """Return some columns, shape (experiments, n, columns)."""
        first, second = self._pairs[:, : self._steps, of]
        result = np.einsum("sen,sec->enc", first, second[..., some])
        result += np.einsum("sen,sec->enc", second, first[..., some])
        columns: Floats = result + self.common[:, some]
        return columns

    def update(self, of: Integers, moved: Floats, change: Floats) -> None:
        """Add a step of some experiments, and the change of the derivatives along it."""
        turned = self.times(change, of)
        curvature, scale = np.sum(moved * change, axis=1), np.sum(change * turned, axis=1)
        # without positive curvature, the matrix would not remain positive
        useful = curvature > 1e-10 * np.sqrt(np.abs(scale * curvature)) + 1e-300
        inverse = np.where(useful, 1 / np.where(useful, curvature, 1.0), 0.0)[:, np.newaxis]
        self._pairs[0, self._steps, of] = moved * inverse
        weight = (1 + scale[:, np.newaxis] * inverse) / 2
        self._pairs[1, self._steps, of] = weight * moved - turned
        self._steps += 1


def _step(matrix: _Inverse, of: Integers, force: Floats, held: Booleans) -> tuple[Floats, Floats]:
    """Return the step of each experiment, and the distance to its minimum that it estimates.

    Parameters
    ----------
    matrix
        Inverse second derivatives.
    of
        Positions of the experiments.
    force
        Derivatives, shape (experiments, n).
    held
        Which parameters stay at a limit, shape (experiments, n).
    """
    push = np.where(held, 0.0, force)
    step = -matrix.times(push, of)
    # a force on the parameters at limits that keeps them there
    some = np.flatnonzero(np.any(held, axis=0))
    if len(some):
        columns, chosen = matrix.columns(some, of), held[:, some]
        both = chosen[:, :, np.newaxis] & chosen[:, np.newaxis, :]
        inner = np.where(both, columns[:, some], np.eye(len(some)))
        keep = np.linalg.solve(inner, np.where(chosen, step[:, some], 0.0)[..., np.newaxis])
        step -= np.einsum("enc,ec->en", columns, keep[..., 0])
        step[held] = 0.0
    distance: Floats = -np.sum(step * push, axis=1) / 2
    return step, distance
