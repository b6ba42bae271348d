"""Likelihood of a HistFactory workspace, with analytic derivatives.

pyhf's dense arrays hold a number for each bin, sample and modifier, most of them without effect,
and its NumPy backend has no gradients. This class only stores samples with content in a bin and
modifiers that change it: an evaluation with its gradient takes a fraction of a millisecond. All
modifiers of pyhf are supported, and results agree with pyhf's to rounding.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bphcoffea.arrays import Floats, Integers
from bphcoffea.statistics.interpolation import HIGHEST, Factors, curved
from bphcoffea.statistics.model_cells import Cells
from bphcoffea.statistics.model_parameters import Config, Constraints, poisson_deviance
from bphcoffea.statistics.workspace import Workspace

#: Interpolation of `normsys`: pyhf's default, or log-normal everywhere.
NormInterpolation: TypeAlias = Literal["code4", "code1"]
#: Smallest expectation of a bin.
TINY = 1e-12
#: Scale in events at which the likelihood falls if a bin's expectation is negative.
NEGATIVE = 1e-4
#: Multiplications of a product of matrices up to which BLAS starts no threads; these cost more
#: than they gain, so that larger products are sparse.
SMALL = 2**18


class Likelihood:
    """Model of a workspace: expected counts, and the deviance of data.

    A negative signal, or a template beyond its variations, can make an expectation ν negative. The
    deviance then grows by 2ν + ν²/`NEGATIVE` per bin, which continues that of an empty bin, 2ν,
    with its slope: minima with empty bins are smooth, and ν is hardly below -`NEGATIVE` there.
    Where no expectation is negative, nothing changes.

    Parameters
    ----------
    spec
        Valid workspace; its first measurement is used.
    unit
        Strength in the workspace that corresponds to a strength of 1 in the likelihood.
    interpolation
        Interpolation of factors; that of templates is ``code4p``.

    Attributes
    ----------
    config
        Parameters.
    data
        Observed counts, channels in alphabetical order as in pyhf, followed by the auxiliary data
        of the constrained parameters in the order of `config`.
    bins
        Number of counts.
    cells, constraints
        Contents of samples in bins with their modifiers; and auxiliary measurements.

    Raises
    ------
    FitError
        If arrays of the workspace have different lengths, or a modifier is unknown.
    """

    def __init__(
        self, spec: Workspace, *, unit: float = 1.0, interpolation: NormInterpolation = "code4"
    ) -> None:
        cells = self.cells = Cells(spec)
        names = [parameter.name for parameter in cells.parameters]
        poi = names.index(spec["measurements"][0]["config"]["poi"])
        self.config = Config.scaled(cells.parameters, poi, unit)
        self.constraints = Constraints(cells.parameters)
        self.bins = sum(cells.channels.values())
        observed = {entry["name"]: entry["data"] for entry in spec["observations"]}
        counts = np.concatenate([observed[name] for name in cells.channels])
        self.data: Floats = np.append(counts, self.constraints.measured)
        scale = unit ** np.count_nonzero(cells.factors == poi, axis=0)
        size, rows, number = len(cells.nominal), len(cells.rows), self.config.npars
        self._nominal = _column(cells.nominal * scale)
        self._norms = Factors(*cells.norms[2:], smooth=interpolation == "code4")
        self._norm_row, self._norm_parameter = cells.norms[:2].astype(np.int64)
        place, parameter = cells.shapes[:2].astype(np.int64)
        self._moved, column = np.unique(parameter, return_inverse=True)
        up, down = cells.shapes[2:] * scale[place]
        self._shapes = place, column, (up - down) / 2, (up + down) / 16
        self._linear, self._curved = (
            sparse.csr_array((values, (place, column)), shape=(size, len(self._moved)))
            for values in self._shapes[2:]
        )
        # sums over cells and modifiers, as matrices
        self._by_bin, self._by_row = _sums(cells.bin, self.bins), _sums(cells.row, rows)
        self._norms_by_row = _sums(self._norm_row, rows)
        self._norms_by_parameter = _sums(self._norm_parameter, number)
        self._shapes_by_parameter = _sums(self._moved, number)
        self._factors_by_parameter = _sums(cells.factors.ravel(), number + 1)[:number]
        self._linear_by_parameter = self._linear.T.tocsr()
        self._curved_by_parameter = self._curved.T.tocsr()
        self._latest: tuple[bytes, _Parts] | None = None

    def expected_data(self, pars: npt.ArrayLike, include_auxdata: bool = True) -> Floats:
        """Return expected counts, followed by the expected auxiliary data as in pyhf."""
        parameters = np.asarray(pars, dtype=np.float64)
        counts: Floats = self._parts(parameters).counts[:, 0]
        if include_auxdata:
            return np.append(counts, self.constraints.expected(parameters))
        return counts

    def deviance(self, pars: npt.ArrayLike, data: Floats) -> float:
        """Return -2 ln L up to a constant of the data: zero if data are as expected."""
        return float(self.deviances(np.atleast_2d(pars), np.atleast_2d(data))[0])

    def deviances(self, pars: Floats, data: Floats) -> Floats:
        """Return `deviance` of some experiments at once.

        Parameters
        ----------
        pars
            Parameters of each experiment, shape (experiments, parameters).
        data
            Data of each experiment, shape (experiments, data).

        Returns
        -------
        Deviances, shape (experiments,).
        """
        expected = self._parts(pars).counts
        below = np.minimum(expected, 0.0)
        counts = poisson_deviance(data[:, : self.bins].T, np.maximum(expected, TINY))
        counts += np.sum(below * (2 + below / NEGATIVE), axis=0)
        result: Floats = counts + self.constraints.deviance(pars.T, data[:, self.bins :].T)
        return result

    def gradient(self, pars: npt.ArrayLike, data: Floats) -> Floats:
        """Return the derivatives of the deviance by the parameters; shape (parameters,)."""
        gradient: Floats = self.gradients(np.atleast_2d(pars), np.atleast_2d(data))[0]
        return gradient

    def gradients(self, pars: Floats, data: Floats) -> Floats:
        """Return `gradient` of some experiments; shape (experiments, parameters)."""
        parts, cells = self._parts(pars), self.cells
        expected = np.maximum(parts.counts, TINY)
        slopes = 1 - data[:, : self.bins].T / expected + np.minimum(parts.counts, 0.0) / NEGATIVE
        slopes = (2 * slopes)[cells.bin]
        by_row = self._by_row @ (slopes * parts.rates)
        result = self._norms_by_parameter @ (parts.norm_slopes * by_row[self._norm_row])
        by_content = slopes * parts.factors
        result += self._shapes_by_parameter @ (
            self._linear_by_parameter @ by_content
            + parts.bend * (self._curved_by_parameter @ by_content)
        )
        by_factor = (slopes * parts.others).reshape(cells.factors.size, len(pars))
        result += self._factors_by_parameter @ by_factor
        index = self.constraints.index
        result[index] += self.constraints.gradient(pars.T, data[:, self.bins :].T)
        gradients: Floats = result.T
        return gradients

    def hessian(self, pars: npt.ArrayLike, data: Floats | None = None) -> Floats:
        """Return the second derivatives of the deviance without those of the expectation.

        Nothing is left out if data are as expected, which they are by default.
        """
        parameters = np.asarray(pars, dtype=np.float64)
        parts = self._parts(parameters)
        counts = parts.counts[:, 0]
        expected, below = np.maximum(counts, TINY), counts < 0
        slopes = self._slopes(parts, self.cells.bin, self.bins)
        weights = 1 / expected if data is None else data[: self.bins] / expected**2
        weights = np.where(below, 1 / NEGATIVE, weights)
        weighted = slopes * (2 * weights)[:, np.newaxis]
        matrix: Floats
        if slopes.size * slopes.shape[1] <= SMALL:
            matrix = slopes.T @ weighted
        else:
            # a factor of a bin changes one bin alone
            matrix = (sparse.csr_array(slopes).T @ sparse.csr_array(weighted)).toarray()
        index = self.constraints.index
        matrix[index, index] += self.constraints.curvature(parameters)
        return matrix

    def observed_hessian(self, pars: npt.ArrayLike, data: Floats, step: float = 1e-4) -> Floats:
        """Return the second derivatives of the deviance, from differences of the gradient."""
        parameters = np.asarray(pars, dtype=np.float64)
        low, high = np.array(self.config.suggested_bounds()).T
        low, high = np.minimum(low, parameters), np.maximum(high, parameters)
        # steps in units of the constraints, since factors of bins may be known precisely
        steps = np.full(len(parameters), step)
        steps[self.constraints.index] *= np.minimum(self.constraints.precision**-0.5, 1.0)
        up = np.minimum(parameters + np.diag(steps), high)
        down = np.maximum(parameters - np.diag(steps), low)
        change = self.gradients(up, data[np.newaxis]) - self.gradients(down, data[np.newaxis])
        matrix = change / np.maximum(np.diag(up) - np.diag(down), 1e-300)[:, np.newaxis]
        symmetric: Floats = (matrix + matrix.T) / 2
        return symmetric

    def rates(self, pars: npt.ArrayLike) -> Floats:
        """Return the expectation of each cell, shape (cells,)."""
        rates: Floats = self._parts(np.asarray(pars, dtype=np.float64)).rates[:, 0]
        return rates

    def sums(self, pars: npt.ArrayLike, group: Integers, groups: int) -> tuple[Floats, Floats]:
        """Return sums of the expectations of cells, and their derivatives.

        Parameters
        ----------
        pars
            Parameters.
        group
            Number of the sum to which each cell belongs, shape (cells,).
        groups
            Number of sums.

        Returns
        -------
        Sums of shape (groups,), and derivatives of shape (groups, parameters).
        """
        parts = self._parts(np.asarray(pars, dtype=np.float64))
        sums = np.bincount(group, parts.rates[:, 0], groups).astype(np.float64)
        return sums, self._slopes(parts, group, groups)

    def draw(
        self, pars: npt.ArrayLike, rng: np.random.Generator, toys: int | None = None
    ) -> Floats:
        """Draw counts and auxiliary data of one toy experiment, or of several.

        Returns
        -------
        Data, shape (data,) or (toys, data).
        """
        parameters = np.asarray(pars, dtype=np.float64)
        shape = () if toys is None else (toys,)
        expected = np.maximum(self.expected_data(parameters, False), 0.0)
        counts = rng.poisson(expected, (*shape, self.bins))
        auxiliary = self.constraints.draw(parameters, rng, shape)
        return np.concatenate([counts, auxiliary], axis=-1, dtype=np.float64)

    def _slopes(self, parts: _Parts, group: Integers, groups: int) -> Floats:
        """Return derivatives of sums of cells, shape (groups, parameters)."""
        number, cells, rows = self.config.npars, self.cells, len(self.cells.rows)
        by_norm = np.bincount(
            self._norm_row * number + self._norm_parameter, parts.norm_slopes[:, 0], rows * number
        ).reshape(rows, number)
        in_rows: Floats | sparse.csr_array
        if groups * rows * number <= SMALL:
            flat = np.bincount(group * rows + cells.row, parts.rates[:, 0], groups * rows)
            in_rows = flat.reshape(groups, rows)
        else:
            in_rows = sparse.csr_array(
                (parts.rates[:, 0], (group, cells.row)), shape=(groups, rows)
            )
        place, column, linear, bent = self._shapes
        index = [group[place] * number + self._moved[column]]
        values = [parts.factors[place, 0] * (linear + bent * parts.bend[column, 0])]
        for places, others in zip(cells.factors, parts.others, strict=True):
            chosen = np.flatnonzero(places < number)
            index.append(group[chosen] * number + places[chosen])
            values.append(others[chosen, 0])
        result = np.bincount(np.concatenate(index), np.concatenate(values), groups * number)
        slopes: Floats = result.reshape(groups, number) + in_rows @ by_norm
        return slopes

    def _parts(self, pars: Floats) -> _Parts:
        """Return expectations and what derivatives need, for one or more sets of parameters."""
        key = pars.tobytes()
        # minimisers ask for value and gradient at the same parameters
        if self._latest is not None and self._latest[0] == key:
            return self._latest[1]
        parameters, cells = np.atleast_2d(pars).T, self.cells
        logarithms, norm_slopes = self._norms.logarithms(parameters[self._norm_parameter])
        powers = self._norms_by_row @ logarithms
        norms = np.exp(np.clip(powers, -HIGHEST, HIGHEST))[cells.row]
        pulls = parameters[self._moved]
        curve, bend = curved(pulls)
        contents = self._nominal + self._linear @ pulls + self._curved @ curve
        values = np.vstack([parameters, np.ones((1, parameters.shape[1]))])[cells.factors]
        factors = norms * np.prod(values, axis=0)
        # products of all factors but one, without a division: a factor may be zero
        others = np.empty_like(values)
        for slot in range(len(values)):
            others[slot] = contents * norms
            for other in (*values[:slot], *values[slot + 1 :]):
                others[slot] *= other
        rates = contents * factors
        parts = _Parts(rates, self._by_bin @ rates, factors, others, norm_slopes, bend)
        self._latest = key, parts
        return parts


class _Parts(NamedTuple):
    """Expectations of cells and their derivatives; the last axis is that of experiments.

    Attributes
    ----------
    rates, counts
        Expectations, shape (cells, experiments), and their sums in bins.
    factors
        Derivatives by the contents, shape (cells, experiments).
    others
        Derivatives by each factor of a cell, shape (factors, cells, experiments).
    norm_slopes
        Derivatives of the logarithms of `normsys`.
    bend
        Slopes of the curved parts of templates.
    """

    rates: Floats
    counts: Floats
    factors: Floats
    others: Floats
    norm_slopes: Floats
    bend: Floats


def _column(values: Floats) -> Floats:
    """Return values that apply to each of some experiments."""
    return values[:, np.newaxis]


def _sums(group: Integers, groups: int) -> sparse.csr_array:
    """Return the matrix that adds the numbers of each group."""
    ones, columns = np.ones(len(group)), np.arange(len(group))
    return sparse.csr_array((ones, (group, columns)), shape=(groups, len(group)))
