"""Toys of counting experiments: the distribution of q̃_µ where counts are too low for formulae.

All toys are fitted at once with NumPy. In each channel the deviance is minimised over the factor θ
of the background in closed form; what remains is smooth in the logarithms of the yields, where
damped Newton steps converge in about five iterations. Nuisance parameters that change one yield
alone are eliminated channel by channel, so that the linear systems have one row for the strength
and one for each independent way in which the channels change together.

Toys are those of pyhf: at the nuisance parameters that fit the data best under the hypothesis, with
counts, sidebands and the auxiliary measurements of the Gaussian constraints all drawn anew.
Gaussian parameters that only appear in a sum are replaced by that sum, which is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from iminuit import Minuit
from scipy import special

from bphcoffea.arrays import Floats
from bphcoffea.statistics.profiling import TINY

#: Iterations of a fit; five are usual. Where they are not enough, MINUIT goes on.
MAX_ITERATIONS = 60
#: Fits stop when -2 ln L would fall by less.
TOLERANCE = 1e-8
#: Two values of q̃ are the same if they differ by less: equal counts give equal values.
SAME = 1e-5
#: The lowest factor θ of a background, as in :mod:`bphcoffea.statistics.counting`.
MIN_THETA = 1e-6


@dataclass(frozen=True)
class Counts:
    """Counts and auxiliary measurements of some experiments.

    Attributes
    ----------
    window, sidebands
        Events; shapes (experiments, channels).
    signal, background
        Measured values of the parameters that scale one yield, in standard deviations. Same shape.
    common
        The same for those that scale signals together; shape (experiments, parameters).
    """

    window: Floats
    sidebands: Floats
    signal: Floats
    background: Floats
    common: Floats

    def __len__(self) -> int:
        return len(self.window)

    def __getitem__(self, index: Any) -> Counts:
        return Counts(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True)
class Point:
    """Parameters of some experiments, and the deviance there.

    Attributes
    ----------
    mu, deviance
        The strength and -2 ln L up to a constant of the data; shapes (experiments,).
    signal, background, common
        Nuisance parameters, in the shapes of `Counts`.
    """

    mu: Floats
    signal: Floats
    background: Floats
    common: Floats
    deviance: Floats

    def __getitem__(self, index: Any) -> Point:
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
class Experiment:
    """A counting experiment; arrays have one entry for each channel.

    Attributes
    ----------
    signal, background
        Events expected in the window at a strength of 1, and without signal.
    sidebands
        Events expected in the sidebands at θ = 1; 0 where the background has no such factor.
    signal_width, background_width
        Uncertainties of the logarithms of the yields that belong to one channel alone.
    common
        Change of the logarithms of the signals by each parameter that they share. Shape
        (channels, parameters).
    data
        Its one result.
    """

    signal: Floats
    background: Floats
    sidebands: Floats
    signal_width: Floats
    background_width: Floats
    common: Floats
    data: Counts

    @classmethod
    def of_workspace(cls, spec: Mapping[str, Any]) -> Experiment:
        """Read a workspace that :func:`bphcoffea.statistics.counting.workspace` made.

        Raises
        ------
        ValueError
            When it holds anything that such workspaces don't.
        """
        strength = spec["measurements"][0]["config"]["poi"]
        observed = {entry["name"]: entry["data"][0] for entry in spec["observations"]}
        single: dict[str, tuple[str, float]] = {}
        windows: list[tuple[str, dict[str, Any]]] = []
        for channel in spec["channels"]:
            samples = {}
            for sample in channel["samples"]:
                names = [modifier["name"] for modifier in sample["modifiers"]]
                samples["signal" if strength in names else "background"] = sample
            if "signal" in samples:
                windows.append((channel["name"], samples))
            else:
                (name,) = (modifier["name"] for modifier in samples["background"]["modifiers"])
                single[name] = channel["name"], samples["background"]["data"][0]
        size = len(windows)
        sidebands, seen = np.zeros(size), np.zeros(size)
        widths: dict[str, dict[str, Floats]] = {"signal": {}, "background": {}}
        for index, (name, samples) in enumerate(windows):
            for what, sample in samples.items():
                for modifier in sample["modifiers"]:
                    if modifier["name"] in single:
                        other, sidebands[index] = single[modifier["name"]]
                        seen[index] = observed[other]
                    elif modifier["type"] == "normsys":
                        shifts = widths[what].setdefault(modifier["name"], np.zeros(size))
                        shifts[index] = _width(modifier, name)
                    elif modifier["name"] != strength:
                        raise ValueError(f"channel '{name}': toys know no '{modifier['type']}'")
        local, shared = _split(widths["signal"], size)
        background, together = _split(widths["background"], size)
        if together.size or widths["signal"].keys() & widths["background"].keys():
            raise ValueError("toys know no uncertainties that several backgrounds share")
        zeros = np.zeros((1, size))
        return cls(
            signal=np.array([samples["signal"]["data"][0] for _, samples in windows]),
            background=np.array([samples["background"]["data"][0] for _, samples in windows]),
            sidebands=sidebands,
            signal_width=local,
            background_width=background,
            common=shared,
            data=Counts(
                np.array([[observed[name] for name, _ in windows]], dtype=np.float64),
                seen[np.newaxis],
                zeros,
                zeros,
                np.zeros((1, shared.shape[1])),
            ),
        )

    def effective_events(self, mu: float) -> float:
        """Estimate the number of events that decide about a signal.

        The likelihood ratio of µ and 0 is a sum over events with the weights ln(1 + µs/b), from
        which the background that is predicted from sidebands is subtracted. The result is the
        count whose Poisson distribution is as skewed as that sum, (Σw²ν)³ / (Σw³ν)². For one
        channel with a known background these are the expected events µs + b; for several channels,
        the events of those that matter, however many the others have.
        """
        weights = np.log1p(mu * self.signal / self.background)
        each = self.background / np.where(self.sidebands > 0, self.sidebands, 1.0)
        seen = self.data.sidebands[0]
        events = mu * self.signal + self.background
        second = float(np.sum(weights**2 * (events + each**2 * seen)))
        third = float(np.sum(weights**3 * (events + each**3 * seen)))
        return second**3 / third**2

    def draw(self, at: Point, size: int, rng: np.random.Generator) -> Counts:
        """Draw experiments from the parameters that fit one best."""
        signal, background = self._yields(at)
        theta, _ = self._theta(self.data, signal, background)

        def around(center: Floats) -> Floats:
            return center + rng.standard_normal((size, center.shape[1]))

        shape = (size, len(self.signal))
        return Counts(
            rng.poisson(signal + theta * background, shape).astype(np.float64),
            rng.poisson(theta * self.sidebands, shape).astype(np.float64),
            around(at.signal),
            around(at.background),
            around(at.common),
        )

    def statistic(self, counts: Counts, mu: float) -> Floats:
        """q̃ of a strength, for each experiment: 0 where more signal fits better.

        The deviance as a function of the strength, at the best nuisance parameters, is taken to
        have one minimum: its slope says on which side of a strength that lies.
        """
        result = np.zeros(len(counts))
        at = self.fit(counts, mu)
        below = np.flatnonzero(np.sum(self._slopes(counts, at).u, axis=1) > 0)
        counts, at = counts[below], at[below]
        best = self.fit(counts, 0.0)
        # the derivative by the strength at 0, where that of its logarithm vanishes
        one = self._slopes(counts, replace(best, mu=np.full(len(counts), 1e-9 * mu)))
        inside = np.flatnonzero(np.sum(one.u, axis=1) < 0)
        lowest = best.deviance
        free = self.fit(counts[inside], mu, at[inside])
        lowest[inside] = np.minimum(lowest[inside], free.deviance)
        result[below] = np.maximum(at.deviance - lowest, 0.0)
        return result

    def fit(self, counts: Counts, mu: float, start: Point | None = None) -> Point:
        """Find the best parameters of each experiment.

        Parameters
        ----------
        counts
            The experiments.
        mu
            Their strength or, with ``start``, the highest.
        start
            Where to start, in order to fit the strength as well, if it is positive.
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
        rest, damping = np.arange(len(counts)), np.zeros(len(counts))
        for _ in range(MAX_ITERATIONS):
            if not len(rest):
                break
            some, at, damped = counts[rest], result[rest], damping[rest]
            step, gain = self._step(some, at, damped, mu if free else None)
            better = step.deviance <= at.deviance
            _put(result, rest[better], step[better])
            damping[rest] = np.where(better, np.where(damped > 1e-3, damped / 10, 0.0), 10 * damped)
            damping[rest[~better & (damped == 0)]] = 0.01
            rest = rest[~(np.isfinite(step.deviance) & (gain < TOLERANCE) & (damped < 1))]
        for index in rest:
            _put(
                result, [index], self._with_minuit(counts[[index]], result[[index]], mu, free=free)
            )
        return result

    def _step(
        self, counts: Counts, at: Point, damping: Floats, highest: float | None
    ) -> tuple[Point, Floats]:
        """Newton's step of each experiment, and by how much -2 ln L should fall."""
        slopes = self._slopes(counts, at)
        more = damping[:, np.newaxis]
        # gradients and second derivatives by the parameters of single yields
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
        # what is left for those in common, when the others follow
        force = slopes.u - (mixed_a * (bb * a - ab * b) + mixed_b * (aa * b - ab * a)) / determinant
        spring = (
            slopes.uu
            - (mixed_a**2 * bb - 2 * mixed_a * mixed_b * ab + mixed_b**2 * aa) / determinant
        )
        ways = self.common
        gradient = force @ ways + at.common - counts.common
        matrix = np.einsum("nc,cg,ch->ngh", spring, ways, ways) + np.eye(ways.shape[1])
        if highest is not None:
            # steps of the strength in its own units: linear, as it may be far from its best value
            strength = np.sum(spring - slopes.u, axis=1)
            gradient = np.column_stack([np.sum(force, axis=1), gradient])
            matrix = np.pad(matrix, ((0, 0), (1, 0), (1, 0)))
            matrix[:, 0, 0] = strength
            matrix[:, 0, 1:] = matrix[:, 1:, 0] = spring @ ways
        diagonal = np.einsum("ngg->ng", matrix)
        # the deviance may be linear in the strength, without a curvature to be multiplied
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
        # the full gradient: of the eliminated parameters as well
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
        """Signal and background (at θ = 1) of each channel."""
        with np.errstate(over="ignore"):
            shift = self.signal_width * at.signal + at.common @ self.common.T
            signal = at.mu[:, np.newaxis] * self.signal * np.exp(shift)
            return signal, self.background * np.exp(self.background_width * at.background)

    def _theta(self, counts: Counts, signal: Floats, background: Floats) -> tuple[Floats, Any]:
        """The best θ, the root of a quadratic equation, and where it floats."""
        both = self.sidebands + background
        half = 0.5 * (both * signal - (counts.window + counts.sidebands) * background)
        product = both * background * counts.sidebands * signal
        root = np.sqrt(half**2 + product)
        # of the two forms of the solution, the one that does not subtract
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
        # by θ and either yield; θ follows these where it floats
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
        """The best of one experiment, as far as MINUIT finds it."""
        size = len(self.signal)

        def point(values: Floats) -> Point:
            signal, background, common = np.split(values[np.newaxis, 1:], [size, 2 * size], axis=1)
            here = Point(values[:1] * highest, signal, background, common, np.empty(0))
            return replace(here, deviance=self._deviance(counts, here))

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


def _width(modifier: Mapping[str, Any], channel: str) -> float:
    high, low = modifier["data"]["hi"], modifier["data"]["lo"]
    if not np.isclose(high * low, 1.0, rtol=1e-6, atol=0.0):
        raise ValueError(f"channel '{channel}': toys need '{modifier['name']}' to be log-normal")
    return float(np.log(high))


def _split(widths: Mapping[str, Floats], size: int) -> tuple[Floats, Floats]:
    """Combine parameters of single yields, and rotate the others into as few as there can be."""
    alone = [each for each in widths.values() if np.count_nonzero(each) < 2]
    shared = [each for each in widths.values() if np.count_nonzero(each) > 1]
    local = np.sqrt(np.sum(np.square([np.zeros(size), *alone]), axis=0))
    left, scales, _ = np.linalg.svd(np.array(shared).reshape(-1, size).T, full_matrices=False)
    return local, (left * scales)[:, scales > 1e-9 * np.max(scales, initial=0.0)]


def _deviance(seen: Floats, expected: Floats) -> Floats:
    """2[ν - n + n ln(n/ν)]; 0 where nothing is expected nor seen."""
    positive = np.maximum(expected, TINY)
    ratio = special.xlogy(seen, np.where(seen > 0, seen, 1.0) / positive)
    return np.asarray(2 * (expected - seen + ratio))


def _solved(matrix: Floats, right: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Solve symmetric systems, and report which are positive definite; others become zero."""
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


def _put(result: Point, index: Any, values: Point) -> None:
    for field in fields(result):
        getattr(result, field.name)[index] = getattr(values, field.name)
