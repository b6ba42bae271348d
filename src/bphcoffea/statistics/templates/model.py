"""Prepared template model, from which workspaces and datacards are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bphcoffea.arrays import Booleans, Floats


@dataclass(frozen=True)
class Effect:
    """Effect of a nuisance parameter on a sample: a factor of its yield, and a change of shape.

    Attributes
    ----------
    factors
        Factors of the yield one standard deviation down and up; None if it does not change.
    shapes
        Contents one standard deviation down and up at the nominal yield, each of shape (bins,);
        None if the shape does not change.
    """

    factors: tuple[float, float] | None = None
    shapes: tuple[Floats, Floats] | None = None


@dataclass(frozen=True)
class Sample:
    """A process in a channel.

    Attributes
    ----------
    name
        Name of the process.
    signal
        Whether the strength multiplies it.
    nominal
        Expected events, shape (bins,).
    errors
        Their statistical uncertainty, shape (bins,); zero in bins without a parameter.
    effects
        Effects by the name of the nuisance parameter.
    free
        Names of free factors.
    """

    name: str
    signal: bool
    nominal: Floats
    errors: Floats
    effects: Mapping[str, Effect]
    free: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelChannel:
    """A channel with its samples.

    Attributes
    ----------
    name, region, era, label, edges
        See :class:`~.template.TemplateChannel`.
    samples
        The processes.
    observed
        Observed events, or the expectation in hidden bins; shape (bins,).
    hidden
        Bins with the expectation, shape (bins,).
    """

    name: str
    region: str
    era: str
    label: str
    edges: Floats
    samples: tuple[Sample, ...]
    observed: Floats
    hidden: Booleans


@dataclass(frozen=True)
class TemplateModel:
    """Template model of all channels.

    Attributes
    ----------
    channels
        The channels.
    poi
        Name of the strength.
    bounds
        Bounds of the strength and of free factors, by name.
    statistics
        Whether bins have parameters for the statistical uncertainty of simulation.
    """

    channels: tuple[ModelChannel, ...]
    poi: str
    bounds: Mapping[str, tuple[float, float]]
    statistics: bool = True

    @property
    def blinded(self) -> bool:
        """Whether the expectation takes the place of any data."""
        return any(bool(np.any(channel.hidden)) for channel in self.channels)

    @property
    def nuisances(self) -> tuple[str, ...]:
        """Names of the constrained parameters, without those of bins."""
        samples = [sample for channel in self.channels for sample in channel.samples]
        return tuple(dict.fromkeys(name for sample in samples for name in sample.effects))


def parameter_name(*parts: str) -> str:
    """Return a name that pyhf, ROOT and Combine accept, made of some parts.

    >>> parameter_name("jes", "2022 C")
    'jes_2022_C'
    """
    name = re.sub(r"\W", "_", "_".join(part for part in parts if part), flags=re.ASCII)
    return f"_{name}" if name[:1].isdigit() else name
