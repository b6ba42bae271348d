"""Counting experiments in several categories, as HistFactory workspaces that pyhf reads.

In each channel the expected count is

    ν = µ · s · Π κ_k^α_k + b · θ · κ_shape^β,

with the strength µ, the signal s and background b of the window, and nuisance parameters α, β that
are constrained by a unit Gaussian, so that a factor κ is log-normal: no yield becomes negative.

The statistical uncertainty of a background that is predicted from sidebands is a count, not a
Gaussian: b ± σ stands for n = (b/σ)² events, each worth σ²/b in the window. The workspace holds
that count as a further channel with the same factor θ, the on/off problem [Cousins, Linnemann,
Tucker, Nucl. Instrum. Meth. A 595 (2008) 480]. A prediction of zero needs no special case: no event
was seen, and one would have been worth σ. HistFactory's `normsys` and `shapesys` both multiply, and
do nothing to a background of zero, while an additive Gaussian would make it negative. A background
with a relative uncertainty below `PRECISE` has a log-normal uncertainty instead: the result is the
same there, while the likelihood of so large a count loses digits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pyhf
from typing_extensions import override

from bphcoffea.statistics.pyhf_backend import schemas
from bphcoffea.statistics.workspace import (
    BLINDED,
    OBSERVED,
    STRENGTH,
    Factors,
    Modifier,
    NormFactor,
    ParameterSpec,
    SampleSpec,
    Workspace,
)

#: Name, samples and counts of a channel.
Content: TypeAlias = tuple[str, list[SampleSpec], list[float]]
#: Relative uncertainty below which a background's statistics are log-normal.
PRECISE = 0.01
#: Smallest background, in events; with none, one event would prove a signal.
MIN_BACKGROUND = 1e-6


@dataclass(frozen=True)
class SignalChannel(ABC):
    """Signal of one category, whose events are counted or have a mass spectrum.

    Attributes
    ----------
    name
        Name of the category; unique in a workspace.
    signal
        Events expected at a strength of 1.
    signal_stat
        Relative statistical uncertainty of ``signal``.
    signal_shifts
        Relative change of ``signal``, above -1, when a source rises by one standard deviation.
        Sources of the same name are fully correlated between channels.
    """

    name: str
    signal: float
    signal_stat: float = field(default=0.0, kw_only=True)
    signal_shifts: Mapping[str, float] = field(default_factory=dict, kw_only=True)

    def numbers(self) -> dict[str, float]:
        """Return the numbers that must be finite and not negative, by name."""
        shifts = {f"1 + shift '{name}'": 1 + shift for name, shift in self.signal_shifts.items()}
        return {"signal": self.signal, "signal_stat": self.signal_stat, **shifts}

    @abstractmethod
    def observations(self) -> dict[str, float]:
        """Return the observed counts by name.

        Raises
        ------
        ValueError
            If there are none, or not one per bin.
        """

    def modifiers(self, normalisation: Mapping[str, float]) -> list[Modifier]:
        """Return the strength and the uncertainties of the yield of the signal."""
        modifiers: list[Modifier] = [factor(STRENGTH)]
        if self.signal > 0:
            for name, relative in (*normalisation.items(), *self.signal_shifts.items()):
                modifiers += lognormal(f"signal_{name}", relative)
            modifiers += lognormal(f"signal_statistics_{self.name}", self.signal_stat)
        return modifiers


@dataclass(frozen=True)
class Channel(SignalChannel):
    """Signal, background and observed count of one category.

    Attributes
    ----------
    background
        Events expected in the window without signal.
    observed
        Events seen in the window; needed unless the workspace is blinded.
    background_stat
        Statistical uncertainty of ``background``, events. For a background of 0: what one more
        event in the sidebands would have predicted.
    background_shape
        Uncertainty of ``background`` from the choice of its shape, events.

    Examples
    --------
    >>> channel = Channel("A", signal=3.0, background=2.0, observed=1, background_stat=0.5)
    >>> [entry["name"] for entry in counting_workspace([channel], {})["channels"]]
    ['A', 'A_sidebands']
    """

    background: float
    observed: int | None = None
    background_stat: float = 0.0
    background_shape: float = 0.0

    @override
    def numbers(self) -> dict[str, float]:
        fields = ("background", "background_stat", "background_shape")
        return super().numbers() | {name: getattr(self, name) for name in fields}

    @override
    def observations(self) -> dict[str, float]:
        if self.observed is None:
            raise ValueError(f"channel '{self.name}' has no observed count, and is not blinded")
        return {"observed": self.observed}


@dataclass(frozen=True)
class CountedBackground:
    """Background of a category: log-normal, or times a factor that a count in sidebands measures.

    Attributes
    ----------
    factor
        Name of the factor.
    events
        Events in the window if the factor is 1.
    relative
        Relative log-normal uncertainties by name.
    sidebands
        Events in the sidebands if the factor is 1; None if the background is known precisely.
    seen
        Count in the sidebands, which need not be an integer.
    """

    factor: str
    events: float
    relative: Mapping[str, float]
    sidebands: float | None = None
    seen: float = 0.0

    def highest(self, observed: float) -> float:
        """Return an upper limit of the factor if ``observed`` events are in the window."""
        # the best factor is at most observed over expected events
        return 10 + 5 * (observed + self.seen) / (self.events + (self.sidebands or 0.0))


def background_of(channel: Channel) -> CountedBackground:
    """Return the background of a category as workspaces and datacards describe it."""
    expected, stat, shape = channel.background, channel.background_stat, channel.background_shape
    factor, relative = f"background_{channel.name}", {}
    if expected <= MIN_BACKGROUND:
        # no event in the sidebands, and none for the shape to scale: both are possible yields
        expected, stat, shape = 0.0, math.hypot(stat, shape), 0.0
    if shape:
        relative[f"background_shape_{channel.name}"] = shape / expected
    if stat <= PRECISE * expected:
        if stat:
            relative[f"background_statistics_{channel.name}"] = stat / expected
        return CountedBackground(factor, max(expected, MIN_BACKGROUND), relative)
    # a factor of 1 is the expectation or, if that is zero, one event in the sidebands
    seen = (expected / stat) ** 2
    return CountedBackground(factor, expected if seen else stat, relative, seen or 1.0, seen)


def counting_workspace(
    channels: Sequence[Channel], normalisation: Mapping[str, float], *, blinded: bool = True
) -> Workspace:
    """Return the workspace of a counting experiment.

    Parameters
    ----------
    channels
        The categories.
    normalisation
        Relative uncertainties of the signal by name, common to all channels.
    blinded
        Use the expectation without signal in place of ``observed``, which is not read. It is not
        rounded, so that each nuisance parameter is at its best value.

    Returns
    -------
    A workspace of pyhf's schema. Its measurement is called `BLINDED` or `OBSERVED`. Channel
    ``<name>_sidebands`` constrains the background of ``<name>``.

    Raises
    ------
    ValueError
        If there are no channels, two have the same name, a yield or an uncertainty is negative or
        not finite, a shift is below -1, or a channel of an unblinded workspace has no ``observed``.
    """
    check(channels, normalisation, blinded=blinded)
    contents: list[Content] = []
    highest: dict[str, float] = {}
    for channel in channels:
        observed = channel.background if blinded else float(channel.observed or 0)
        known = background_of(channel)
        modifiers = channel.modifiers(normalisation)
        signal: SampleSpec = {"name": "signal", "data": [channel.signal], "modifiers": modifiers}
        free: list[Modifier] = [] if known.sidebands is None else [factor(known.factor)]
        uncertain = [m for source, size in known.relative.items() for m in lognormal(source, size)]
        background: SampleSpec = {
            "name": "background",
            "data": [known.events],
            "modifiers": [*uncertain, *free],
        }
        contents.append((channel.name, [signal, background], [observed]))
        if known.sidebands is None:
            continue
        sidebands: SampleSpec = {"name": "background", "data": [known.sidebands], "modifiers": free}
        contents.append((f"{channel.name}_sidebands", [sidebands], [known.seen]))
        highest[known.factor] = known.highest(observed)
    return measured(contents, highest, blinded=blinded)


def measured(
    contents: Sequence[Content], highest: Mapping[str, float], *, blinded: bool
) -> Workspace:
    """Return a workspace that measures the strength.

    Parameters
    ----------
    contents
        Name, samples and counts of each channel.
    highest
        Upper limits of free factors of backgrounds by name. The lower limit is not 0, where the
        likelihood vanishes.
    blinded
        Whether the counts are expectations.
    """
    parameters: list[ParameterSpec] = [
        {"name": name, "inits": [1.0], "bounds": [[1e-6, limit]]} for name, limit in highest.items()
    ]
    name = BLINDED if blinded else OBSERVED
    return {
        "channels": [{"name": channel, "samples": samples} for channel, samples, _ in contents],
        "observations": [{"name": channel, "data": counts} for channel, _, counts in contents],
        "version": "1.0.0",
        "measurements": [{"name": name, "config": {"poi": STRENGTH, "parameters": parameters}}],
    }


def validate(spec: Workspace) -> None:
    """Compare a workspace with pyhf's JSON schema.

    Raises
    ------
    pyhf.exceptions.InvalidSpecification
        If it does not match.
    """
    with schemas():
        pyhf.schema.validate(spec, "workspace.json")


def check(
    channels: Sequence[SignalChannel], normalisation: Mapping[str, float], *, blinded: bool
) -> None:
    """Check channels; for the parameters and errors see :func:`counting_workspace`."""
    if not channels:
        raise ValueError("a limit needs a channel")
    names = [channel.name for channel in channels]
    if len(set(names)) < len(names):
        raise ValueError(f"channels of the same name: {', '.join(names)}")
    numbers = {f"normalisation '{name}'": value for name, value in normalisation.items()}
    for channel in channels:
        of_channel = channel.numbers() | ({} if blinded else channel.observations())
        numbers |= {f"{name} of channel '{channel.name}'": x for name, x in of_channel.items()}
    for name, value in numbers.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and not negative, not {value}")


def lognormal(name: str, relative: float) -> list[Modifier]:
    """Return the modifier for a relative uncertainty of a sample; none if it is 0."""
    if relative == 0:
        return []
    factors: Factors = {"hi": 1 + relative, "lo": 1 / (1 + relative)}
    return [{"name": name, "type": "normsys", "data": factors}]


def factor(name: str) -> NormFactor:
    """Return the modifier that multiplies a sample by a free parameter."""
    return {"name": name, "type": "normfactor", "data": None}
