"""Templates of a run before they are prepared: contents, variations and the data of a channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bphcoffea.arrays import Booleans, Floats


@dataclass(frozen=True)
class Varied:
    """A template under one side of a variation.

    Attributes
    ----------
    values
        Content of each bin, shape (bins,).
    covariance
        Covariance of the difference to the nominal content, shape (bins, bins); None if unknown.
    """

    values: Floats
    covariance: Floats | None = None


@dataclass(frozen=True)
class Sides:
    """The sides of a variation; None for a side that the run does not have."""

    up: Varied | None
    down: Varied | None


@dataclass(frozen=True)
class Template:
    """Expected events of a process in a channel.

    Attributes
    ----------
    nominal, variance
        Expected events and their variance in each bin, shape (bins,).
    variations
        Variations by name, without ``Up`` and ``Down``.
    lacking
        Datasets that a variation of the process does not have, by its name.
    cross_sections
        Names of the variations that are uncertainties of cross sections.
    """

    nominal: Floats
    variance: Floats
    variations: Mapping[str, Sides] = field(default_factory=dict)
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cross_sections: tuple[str, ...] = ()


@dataclass(frozen=True)
class TemplateChannel:
    """Templates and data of a region in an era.

    Attributes
    ----------
    name
        Name of the channel.
    region, era
        Region of the run, and era of the model; empty if the model has a single era.
    histogram
        Name of the histogram.
    edges
        Edges of the bins, shape (bins + 1,); bins are numbered if there are several variables.
    label
        Label of the variable with its unit.
    templates
        Templates by the name of the process.
    data
        Observed events, shape (bins,); hidden bins are NaN.
    hidden
        Bins in which the expectation takes the place of the data, shape (bins,).
    """

    name: str
    region: str
    era: str
    histogram: str
    edges: Floats
    label: str
    templates: Mapping[str, Template]
    data: Floats
    hidden: Booleans
