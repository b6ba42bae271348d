"""Declaration of a template fit, by an analysis or by a small TOML file.

It says which histograms of a run are the templates, and how they are prepared. Whatever is not
declared is not done: templates are symmetrised, smoothed or pruned only where a rule says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bphcoffea.patterns import matches as matches_any

#: Whether a nuisance parameter is shared, by eras or by processes.
Correlation = Literal["correlated", "decorrelated"]
#: Treatment of the two sides of a variation.
Symmetry = Literal["none", "average", "larger", "up", "down"]
#: Parts of a variation that are kept.
Part = Literal["both", "normalisation", "shape"]


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Fraction = Annotated[float, Field(ge=0, allow_inf_nan=False)]
if TYPE_CHECKING:
    #: One name, or several; shell patterns where the documentation says so. Models hold several.
    Names = str | tuple[str, ...]
    #: Names, possibly none.
    AnyNames = str | tuple[str, ...]
    #: Names of regions, or regions; models hold regions.
    Regions = str | tuple["str | FitRegion", ...]
else:
    # what is declared in a short form is stored in the long one
    _Name = Annotated[str, Field(min_length=1)]
    AnyNames = Annotated[tuple[_Name, ...], BeforeValidator(_as_tuple)]
    Names = Annotated[AnyNames, Field(min_length=1)]
    Regions = Annotated[
        tuple["FitRegion", ...],
        BeforeValidator(lambda value: _as_regions(value)),
        Field(min_length=1),
    ]
EVERYTHING: Final = ("*",)


def as_names(names: Names) -> tuple[str, ...]:
    """Return one name or several as a tuple."""
    return (names,) if isinstance(names, str) else names


def matches(name: str, patterns: Names) -> bool:
    """Return whether a name matches one of some shell patterns.

    >>> matches("jes_Total", ("jer", "jes_*"))
    True
    """
    return matches_any(name, as_names(patterns))


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Selective(_Table):
    """Part of a declaration that applies to some processes, regions and eras: shell patterns."""

    processes: Names = EVERYTHING
    regions: Names = EVERYTHING
    eras: Names = EVERYTHING

    def applies(self, process: str, region: str, era: str) -> bool:
        """Return whether it applies to a process in a region of an era."""
        return (
            matches(process, self.processes)
            and matches(region, self.regions)
            and matches(era, self.eras)
        )


class FitRegion(_Table):
    """A region of the fit.

    Attributes
    ----------
    name
        Name of a region or category of the run.
    histogram
        Name of its histogram; None for that of the fit.
    rebin
        Number of bins to merge, or new edges, which must be edges of the histogram; None for the
        rebinning of the fit.
    """

    name: str
    histogram: str | None = None
    rebin: int | tuple[float, ...] | None = None


def _as_regions(value: Any) -> Any:
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple):
        return values
    return tuple({"name": each} if isinstance(each, str) else each for each in values)


class LogNormal(_Selective):
    """Uncertainty of a normalisation, as lnN of Combine.

    Attributes
    ----------
    name
        Name of the nuisance parameter.
    size
        Relative uncertainty, such as 0.1; or the factors one standard deviation down and up.
    processes, regions, eras
        What it applies to; shell patterns.
    correlation
        Whether eras share the parameter.
    """

    name: str
    size: float | tuple[float, float]
    correlation: Correlation = "correlated"

    @property
    def factors(self) -> tuple[float, float]:
        """Factors one standard deviation down and up."""
        if isinstance(self.size, tuple):
            return self.size
        return 1 / (1 + self.size), 1 + self.size

    @model_validator(mode="after")
    def _possible(self) -> LogNormal:
        given = self.size if isinstance(self.size, tuple) else (1 + self.size,)
        if not all(math.isfinite(factor) and factor > 0 for factor in given):
            raise ValueError(
                f"size {self.size} is impossible: write a relative uncertainty above -1, "
                "or two positive factors"
            )
        return self


class FreeNormalisation(_Selective):
    """Free factor of a process, which control regions constrain: rateParam of Combine.

    Attributes
    ----------
    name
        Name of the parameter.
    processes, regions, eras
        What it multiplies; shell patterns.
    bounds
        Lower and upper bound of the factor.
    correlation
        Whether eras share the parameter.
    """

    name: str
    bounds: tuple[float, float] = (0.0, 10.0)
    correlation: Correlation = "decorrelated"


class VariationRule(_Selective):
    """Treatment of some variations of the run; the first rule that matches a variation applies.

    Attributes
    ----------
    names
        Names of variations, without ``Up`` and ``Down``; shell patterns.
    processes, regions, eras
        What the rule applies to; shell patterns.
    exclude
        Leave these variations out.
    between_eras, between_processes
        Whether eras, or processes, share the nuisance parameter. If not, the era or the process is
        appended to its name.
    symmetrise
        ``average``: half the difference of the sides, to both sides. ``larger``: in each bin, the
        larger difference to both sides. ``up``, ``down``: that side, and its mirror image.
    one_sided
        What the missing side of a variation is: the ``mirror`` image, or the ``nominal`` template.
    smooth
        Number of neighbours on each side over which relative differences are averaged.
    keep
        Part of the variation that is kept.
    """

    names: Names
    exclude: bool = False
    between_eras: Correlation = "correlated"
    between_processes: Correlation = "correlated"
    symmetrise: Symmetry = "none"
    one_sided: Literal["mirror", "nominal"] = "mirror"
    smooth: Annotated[int, Field(ge=0)] = 0
    keep: Part = "both"


class Envelope(_Table):
    """Variation made of several: the largest and the smallest content of each bin.

    Attributes
    ----------
    name
        Name of the new variation.
    of
        Names of the variations that it replaces, without ``Up`` and ``Down``; shell patterns.
    """

    name: str
    of: Names


class Pruning(_Table):
    """Which small effects are left out.

    Attributes
    ----------
    normalisation
        Largest relative change of a yield that is left out.
    shape
        Largest relative change of a bin by the shape that is left out.
    p_value
        Shapes that statistical fluctuations explain with a larger p-value are left out; 1 keeps
        all.
    """

    normalisation: Fraction = 0.0
    shape: Fraction = 0.0
    p_value: Annotated[float, Field(gt=0, le=1)] = 1.0


class StatisticalErrors(_Table):
    """Statistical uncertainty of simulation: one parameter per bin (Barlow-Beeston lite).

    Attributes
    ----------
    include
        Whether there is any.
    signal
        Whether the signal counts. Its uncertainty is that at a strength of 1: leave it out if the
        signal is scaled to an arbitrary cross section.
    threshold
        Smallest relative uncertainty of a bin that has a parameter.
    """

    include: bool = True
    signal: bool = True
    threshold: Fraction = 0.0


class TemplateFit(_Table):
    """Model of a template fit: signal and backgrounds from histograms of one or several runs.

    Attributes
    ----------
    name
        Name of the model.
    histogram
        Name of the histogram, with one variable or several, whose bins are then put in a row.
    regions
        Regions or categories of the run: names, or :class:`FitRegion`. They must share no events.
    processes
        Shell patterns by the name of a group. They are compared with ``process`` in the metadata of
        simulated datasets and with the names of the datasets. By default each process is a group.
    signal
        Groups that the strength multiplies; by default those of datasets of kind ``signal``.
    eras
        Shell patterns of the metadata ``era`` by the name of an era of the model, which has its own
        channels. By default each run folder is an era; a single one has no name.
    data
        ``observed``, or ``asimov`` to use the expectation in place of the data.
    blind
        Regions in which the expectation takes the place of data until they are unblinded; shell
        patterns. What the analysis blinds is blind in any case.
    expected_strength
        Strength of the signal in expectations that take the place of data.
    poi, poi_bounds
        Name and bounds of the strength.
    rebin
        Number of bins to merge, or new edges, which must be edges of the histogram.
    overflow
        Add underflow and overflow to the first and last bin.
    rates
        Use the uncertainties of luminosity and cross sections that the run knows.
    normalisations, free, variations, envelopes, pruning, statistics
        Uncertainties and their treatment. All variations of the run are used unless a rule excludes
        them.

    Examples
    --------
    >>> fit = TemplateFit(histogram="mt", regions=("signal", "top"), signal="tT")
    >>> [region.name for region in fit.fit_regions]
    ['signal', 'top']
    """

    histogram: str
    regions: Regions
    name: Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")] = "model"
    processes: Mapping[str, Names] = {}
    signal: AnyNames = ()
    eras: Mapping[str, Names] = {}
    data: Literal["observed", "asimov"] = "observed"
    blind: AnyNames = ()
    expected_strength: Fraction = 0.0
    poi: str = "mu"
    poi_bounds: tuple[float, float] = (0.0, 10.0)
    rebin: int | tuple[float, ...] | None = None
    overflow: bool = False
    rates: bool = True
    normalisations: tuple[LogNormal, ...] = ()
    free: tuple[FreeNormalisation, ...] = ()
    variations: tuple[VariationRule, ...] = ()
    envelopes: tuple[Envelope, ...] = ()
    pruning: Pruning = Pruning()
    statistics: StatisticalErrors = StatisticalErrors()

    @model_validator(mode="after")
    def _consistent(self) -> TemplateFit:
        names = [region.name for region in self.fit_regions]
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"the region '{repeated[0]}' is listed twice")
        parameters = [self.poi, *(one.name for one in self.normalisations)]
        parameters += [one.name for one in self.free]
        if repeated := [name for name, count in Counter(parameters).items() if count > 1]:
            raise ValueError(f"two parameters are named '{repeated[0]}'; rename one of them")
        for bounds in (self.poi_bounds, *(free.bounds for free in self.free)):
            if not (all(map(math.isfinite, bounds)) and bounds[0] <= 1 <= bounds[1]):
                raise ValueError(f"bounds {bounds} of a factor must be finite and contain 1")
        for rebin in (self.rebin, *(region.rebin for region in self.fit_regions)):
            if isinstance(rebin, int) and rebin < 1:
                raise ValueError(f"rebin = {rebin}: must be positive")
            if isinstance(rebin, tuple) and (
                len(rebin) < 2 or any(a >= b for a, b in pairwise(rebin))
            ):
                raise ValueError("rebin: edges must be at least two and ascend")
        return self

    @property
    def fit_regions(self) -> tuple[FitRegion, ...]:
        """The regions in their long form."""
        return tuple(r if isinstance(r, FitRegion) else FitRegion(name=r) for r in self.regions)

    def histograms(self) -> dict[str, str]:
        """Return the name of the histogram of each region."""
        return {region.name: region.histogram or self.histogram for region in self.fit_regions}
