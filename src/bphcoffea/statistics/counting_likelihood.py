"""Likelihood of counting experiments, and its minima for many experiments at once.

In each channel the deviance is minimised over the factor θ of the background in closed form; the
remainder is smooth in the logarithms of the yields, where damped Newton steps converge in about
five iterations. Nuisance parameters that change a single yield are eliminated channel by channel,
so that the linear systems have one row for the strength and one for each independent way in which
the channels change together.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from iminuit import Minuit
from scipy import special

from bphcoffea.arrays import Booleans, Floats
from bphcoffea.statistics.scaled_model import TINY

#: Iterations of a fit; five are usual. MINUIT continues fits that need more.
MAX_ITERATIONS = 60
#: Fits stop when -2 ln L would fall by less.
TOLERANCE = 1e-8
#: Lowest factor θ of a background, as in :mod:`bphcoffea.statistics.counting`.
MIN_THETA = 1e-6

#: Index of some experiments.
Experiments: TypeAlias = Booleans | npt.NDArray[np.intp] | list[int]


@dataclass(frozen=True)
class Counts:
    """Counts and auxiliary measurements of some experiments.

    Attributes
    ----------
    window, sidebands
        Events in the window and the sidebands; shapes (experiments, channels).
    signal, background
        Measured values of the parameters that scale a single yield, in standard deviations; shapes
        (experiments, channels).
    common
        Measured values of the parameters that signals share; shape (experiments, parameters).
    """

    window: Floats
    sidebands: Floats
    signal: Floats
    background: Floats
    common: Floats

    def __len__(self) -> int:
        return len(self.window)

    def __getitem__(self, index: Experiments) -> Counts:
        return Counts(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True)
class Point:
    """Parameters of some experiments, and the deviance at them.

    Attributes
    ----------
    mu, deviance
        Strength, and -2 ln L up to a constant of the data; shapes (experiments,).
    signal, background, common
        Nuisance parameters, in the shapes of `Counts`.
    """

    mu: Floats
    signal: Floats
    background: Floats
    common: Floats
    deviance: Floats

    def __getitem__(self, index: Experiments) -> Point:
        return Point(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True)
class _Slopes:
    """Derivatives of half the deviance of each channel by the logarithms u, v of both yields."""

    u: Floats
    v: Floats
    uu: Floats
    uv: Floats
    vv: Floats


@dataclass(frozen=True)
class CountingModel:
    """Expected yields of a counting experiment; arrays have one entry per channel.

    Attributes
    ----------
    signal, background
        Events expected in the window at a strength of 1, and without signal.
    sidebands
        Events expected in the sidebands at θ = 1; 0 for a background without such a factor.
    signal_width, background_width
        Uncertainties of the logarithms of the yields that only one channel has.
    common
        Change of the logarithms of the signals by each shared parameter; shape
        (channels, parameters).
    """

    signal: Floats
    background: Floats
    sidebands: Floats
    signal_width: Floats
    background_width: Floats
    common: Floats

    def fit(self, counts: Counts, mu: float, start: Point | None = None) -> Point:
        """Return the best parameters of each experiment.

        Parameters
        ----------
        counts
            The experiments.
        mu
            Strength of all experiments; with ``start``, its upper limit.
        start
            Start values. If they are given, the strength is fitted as well, between 0 and ``mu``.
        """
        free = start is not None
        if start is None:
            start = Point(
                np.full(len(counts), mu),
                counts.signal.copy(),
                counts.background.copy(),
                counts.common.copy(),
                np.empty(0),
            )
        else:
            start = replace(start, mu=np.full(len(counts), 0.5 * mu))
        result = replace(start, deviance=self._deviance(counts, start))
        unconverged, damping = np.arange(len(counts)), np.zeros(len(counts))
        for _ in range(MAX_ITERATIONS):
            if not len(unconverged):
                break
            some, at, damped = counts[unconverged], result[unconverged], damping[unconverged]
            step, gain = self._step(some, at, damped, mu if free else None)
            better = step.deviance <= at.deviance
            _put(result, unconverged[better], step[better])
            damping[unconverged] = np.where(
                better, np.where(damped > 1e-3, damped / 10, 0.0), 10 * damped
            )
            damping[unconverged[~better & (damped == 0)]] = 0.01
            unconverged = unconverged[
                ~(np.isfinite(step.deviance) & (gain < TOLERANCE) & (damped < 1))
            ]
        for index in map(int, unconverged):
            _put(
                result, [index], self._with_minuit(counts[[index]], result[[index]], mu, free=free)
            )
        return result

    def _step(
        self, counts: Counts, at: Point, damping: Floats, highest: float | None
    ) -> tuple[Point, Floats]:
        """Return Newton's step of each experiment, and the expected fall of -2 ln L."""
        slopes = self._slopes(counts, at)
        more = damping[:, np.newaxis]
        # gradients and second derivatives by the parameters that scale a single yield
        a = self.signal_width * slopes.u + at.signal - counts.signal
        b = self.background_width * slopes.v + at.background - counts.background
        curved_a, curved_b = self.signal_width**2 * slopes.uu, self.background_width**2 * slopes.vv
        aa = 1 + curved_a + more * (1 + np.abs(curved_a))
        bb = 1 + curved_b + more * (1 + np.abs(curved_b))
        ab = self.signal_width * self.background_width * slopes.uv
        mixed_a, mixed_b = self.signal_width * slopes.uu, self.background_width * slopes.uv
        determinant = aa * bb - ab**2
        sane = np.all((aa > 0) & (determinant > 0), axis=1)
        determinant = np.where(determinant > 0, determinant, np.inf)
        # derivatives by the shared parameters, with the others at their best values
        force = slopes.u - (mixed_a * (bb * a - ab * b) + mixed_b * (aa * b - ab * a)) / determinant
        spring = (
            slopes.uu
            - (mixed_a**2 * bb - 2 * mixed_a * mixed_b * ab + mixed_b**2 * aa) / determinant
        )
        ways = self.common
        gradient = force @ ways + at.common - counts.common
        matrix = np.einsum("nc,cg,ch->ngh", spring, ways, ways) + np.eye(ways.shape[1])
        if highest is not None:
            # relative steps of the strength: linear, as it may be far from its best value
            strength = np.sum(spring - slopes.u, axis=1)
            gradient = np.column_stack([np.sum(force, axis=1), gradient])
            matrix = np.pad(matrix, ((0, 0), (1, 0), (1, 0)))
            matrix[:, 0, 0] = strength
            matrix[:, 0, 1:] = matrix[:, 1:, 0] = spring @ ways
        diagonal = np.einsum("ngg->ng", matrix)
        # the deviance may be linear in the strength, with no curvature to multiply
        diagonal += more * (np.abs(diagonal) + np.sum(np.abs(slopes.u), axis=1, keepdims=True))
        together, positive = _solved(matrix, -gradient)
        moved = together @ np.column_stack([np.ones(len(ways)), ways][highest is None :]).T
        right_a, right_b = -(a + mixed_a * moved), -(b + mixed_b * moved)
        by_a = (bb * right_a - ab * right_b) / determinant
        by_b = (aa * right_b - ab * right_a) / determinant
        new = Point(
            at.mu,
            at.signal + by_a,
            at.background + by_b,
            at.common + together[:, highest is not None :],
            at.deviance,
        )
        # the full gradient, which includes the eliminated parameters
        gain = -np.sum(a * by_a + b * by_b, axis=1)
        gain -= np.sum((at.common - counts.common) * together[:, highest is not None :], axis=1)
        gain -= np.sum(slopes.u * moved, axis=1)
        if highest is not None:
            new = replace(new, mu=at.mu * np.clip(1 + together[:, 0], 0.05, highest / at.mu))
        new = replace(new, deviance=self._deviance(counts, new))
        failed = ~(sane & positive & np.isfinite(new.deviance))
        new.deviance[failed] = np.inf
        return new, gain

    def _yields(self, at: Point) -> tuple[Floats, Floats]:
        """Return the signal and the background at θ = 1 of each channel."""
        with np.errstate(over="ignore"):
            shift = self.signal_width * at.signal + at.common @ self.common.T
            signal = at.mu[:, np.newaxis] * self.signal * np.exp(shift)
            return signal, self.background * np.exp(self.background_width * at.background)

    def _theta(self, counts: Counts, signal: Floats, background: Floats) -> tuple[Floats, Booleans]:
        """Return the best θ, the root of a quadratic equation, and whether it is free."""
        both = self.sidebands + background
        half = 0.5 * (both * signal - (counts.window + counts.sidebands) * background)
        product = both * background * counts.sidebands * signal
        root = np.sqrt(half**2 + product)
        # the form of the solution that does not subtract
        with np.errstate(divide="ignore", invalid="ignore"):
            theta = np.where(
                half > 0,
                counts.sidebands * signal / (half + root),
                (root - half) / (both * background),
            )
        floats = (self.sidebands > 0) & (theta > MIN_THETA)
        return np.where(self.sidebands > 0, np.maximum(theta, MIN_THETA), 1.0), floats

    def _deviance(self, counts: Counts, at: Point) -> Floats:
        signal, background = self._yields(at)
        with np.errstate(over="ignore", invalid="ignore"):
            theta, _ = self._theta(counts, signal, background)
            total = _deviance(counts.window, signal + theta * background)
            total += _deviance(counts.sidebands, theta * self.sidebands)
            total += (at.signal - counts.signal) ** 2 + (at.background - counts.background) ** 2
        rest = np.sum((at.common - counts.common) ** 2, axis=1)
        return np.asarray(rest + np.sum(total, axis=1))

    def _slopes(self, counts: Counts, at: Point) -> _Slopes:
        signal, background = self._yields(at)
        theta, floats = self._theta(counts, signal, background)
        expected = np.maximum(signal + theta * background, TINY)
        first = 1 - counts.window / expected
        second = counts.window / expected**2
        # second derivatives by θ and either yield; a free θ follows the yields
        by_signal = second * background
        by_background = first + theta * by_signal
        by_theta = second * background**2 + counts.sidebands / theta**2
        weight = np.where(floats, 1 / np.maximum(by_theta, TINY), 0.0)
        signal_twice = second - by_signal**2 * weight
        mixed = theta * second - by_signal * by_background * weight
        background_twice = theta**2 * second - by_background**2 * weight
        u, v = signal * first, background * theta * first
        return _Slopes(
            u,
            v,
            signal**2 * signal_twice + u,
            signal * background * mixed,
            background**2 * background_twice + v,
        )

    def _with_minuit(self, counts: Counts, at: Point, highest: float, *, free: bool) -> Point:
        """Return the best point of one experiment that MINUIT finds."""
        size = len(self.signal)

        def point(values: Floats) -> Point:
            signal, background, common = np.split(values[np.newaxis, 1:], [size, 2 * size], axis=1)
            at = Point(values[:1] * highest, signal, background, common, np.empty(0))
            return replace(at, deviance=self._deviance(counts, at))

        relative = at.mu / highest if highest else at.mu
        start = np.concatenate([relative, at.signal[0], at.background[0], at.common[0]])
        minuit = Minuit(lambda values: float(point(values).deviance[0]), start)
        minuit.errordef = Minuit.LIKELIHOOD
        minuit.limits["x0"] = (0.0, 1.0)
        minuit.fixed["x0"] = not free
        minuit.strategy = 2
        minuit.migrad()
        found = point(np.array(minuit.values))
        return found if found.deviance[0] < at.deviance[0] else at


def _deviance(seen: Floats, expected: Floats) -> Floats:
    """Return 2[ν - n + n ln(n/ν)]; 0 if nothing is expected nor seen."""
    positive = np.maximum(expected, TINY)
    ratio = special.xlogy(seen, np.where(seen > 0, seen, 1.0) / positive)
    return np.asarray(2 * (expected - seen + ratio))


def _solved(matrix: Floats, right: Floats) -> tuple[Floats, Booleans]:
    """Solve symmetric systems; return which are positive definite, with zeros for the others."""
    matrix, solution = matrix.copy(), right.copy()
    size = right.shape[1]
    good = np.ones(len(right), dtype=bool)
    for row in range(size):
        good &= matrix[:, row, row] > 0
        matrix[~good, row, row] = 1.0
        for below in range(row + 1, size):
            factor = matrix[:, below, row] / matrix[:, row, row]
            matrix[:, below, row:] -= factor[:, np.newaxis] * matrix[:, row, row:]
            solution[:, below] -= factor * solution[:, row]
    for row in reversed(range(size)):
        for after in range(row + 1, size):
            solution[:, row] -= matrix[:, row, after] * solution[:, after]
        solution[:, row] /= matrix[:, row, row]
    solution[~good] = 0.0
    return solution, good


def _put(result: Point, index: Experiments, values: Point) -> None:
    """Replace the parameters of some experiments."""
    for field in fields(result):
        getattr(result, field.name)[index] = getattr(values, field.name)
