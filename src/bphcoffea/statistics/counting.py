"""Counting experiments in several categories, as HistFactory workspaces that pyhf reads.

In each channel the expected count is

    ν = µ · s · Π κ_k^α_k + b · θ · κ_shape^β,

with the strength µ, the signal s and background b of the window, and nuisances α, β that are
constrained by a unit Gaussian, so that a factor κ is log-normal: it can't make a yield negative.

What a background predicted from sidebands does not know for lack of events is a count, not a
Gaussian: b ± σ stands for n = (b/σ)² events, each worth σ²/b in the window. The workspace holds
that count as a channel of its own with the same factor θ, the on/off problem [Cousins, Linnemann,
Tucker, Nucl. Instrum. Meth. A 595 (2008) 480]. A zero needs no special case then: no event was
seen, one would have been worth σ. HistFactory's `normsys` and `shapesys` both multiply, and do
nothing to a background of zero, while an additive Gaussian would make it negative. Only a
background known to better than `PRECISE` has a log-normal uncertainty instead, which is the same
there, while the likelihood of so large a count loses digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyhf

from bphcoffea.statistics.profiling import schemas

#: The signal strength, the parameter of interest.
STRENGTH = "mu"
#: What the measurement of a workspace is called: HistFactory's JSON has no other place to say it.
OBSERVED, BLINDED = "observed", "blinded"
#: Relative uncertainty below which a background's statistics are log-normal.
PRECISE = 0.01
#: A background is not smaller, in events: else one event would be a proof, and its likelihood zero.
MIN_BACKGROUND = 1e-6


@dataclass(frozen=True)
class Channel:
    """What is known of one category.

    Attributes
    ----------
    name
        The category; unique in a workspace.
    signal
        Events expected in the window at a strength of 1.
    background
        Events expected in the window without signal.
    observed
        Events seen in the window; needed unless the workspace is blinded.
    signal_stat
        Relative statistical uncertainty of ``signal``.
    background_stat
        Statistical uncertainty of ``background``, events. Where that is 0: what one more event in
        the sidebands would have predicted.
    background_shape
        Uncertainty of ``background`` from the choice of its shape, events.
    signal_shifts
        Relative change of ``signal`` when a source that channels share rises by one standard
        deviation; it may be negative, above -1.
    """

    name: str
    signal: float
    background: float
    observed: int | None = None
    signal_stat: float = 0.0
    background_stat: float = 0.0
    background_shape: float = 0.0
    signal_shifts: Mapping[str, float] = field(default_factory=dict)


class SignalChannel(Protocol):
    """Channel of any kind of workspace, as far as its signal's yield is concerned."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def signal(self) -> float: ...  # noqa: D102
    @property
    def signal_stat(self) -> float: ...  # noqa: D102
    @property
    def signal_shifts(self) -> Mapping[str, float]: ...  # noqa: D102


def workspace(
    channels: Sequence[Channel], normalisation: Mapping[str, float], *, blinded: bool = True
) -> dict[str, Any]:
    """Make the workspace of a counting experiment.

    Parameters
    ----------
    channels
        The categories.
    normalisation
        Relative uncertainties of the signal by name, common to all channels.
    blinded
        Take what is expected without signal in place of ``observed``, which is not looked at.
        It is not rounded, so that each nuisance sits at its best value.

    Returns
    -------
    What pyhf's schema calls a workspace, to be written as JSON. Its measurement is called
    `BLINDED` or `OBSERVED`. Channel ``<name>_sidebands`` constrains the background of ``<name>``.

    Raises
    ------
    ValueError
        When there are no channels, two of one name, a yield or an uncertainty is negative or not
        finite, a shift is below -1, or a channel has no ``observed`` and the workspace is not
        blinded.
    """
    _check(channels, normalisation, blinded)
    spec: dict[str, Any] = {"channels": [], "observations": [], "version": "1.0.0"}
    parameters: list[dict[str, Any]] = []
    for channel in channels:
        observed = channel.background if blinded else float(channel.observed or 0)
        background, sidebands = _background(channel)
        spec["channels"].append(
            {"name": channel.name, "samples": [_signal(channel, normalisation), background]}
        )
        spec["observations"].append({"name": channel.name, "data": [observed]})
        if sidebands is None:
            continue
        name, seen = f"{channel.name}_sidebands", sidebands.pop("seen")
        spec["channels"].append({"name": name, "samples": [sidebands]})
        spec["observations"].append({"name": name, "data": [seen]})
        expected = background["data"][0] + sidebands["data"][0]
        # θ at its best is at most (what is seen) / (what is expected); not 0, where ln ν diverges
        parameters.append(
            {
                "name": f"background_{channel.name}",
                "inits": [1.0],
                "bounds": [[1e-6, 10 + 5 * (observed + seen) / expected]],
            }
        )
    config = {"poi": STRENGTH, "parameters": parameters}
    spec["measurements"] = [{"name": BLINDED if blinded else OBSERVED, "config": config}]
    validate(spec)
    return spec


def is_blinded(spec: Mapping[str, Any]) -> bool:
    """Tell whether a workspace holds expectations in place of observed counts."""
    return bool(spec["measurements"][0]["name"] == BLINDED)


def validate(spec: Mapping[str, Any]) -> None:
    """Compare a workspace with pyhf's JSON schema.

    Raises
    ------
    pyhf.exceptions.InvalidSpecification
        When it is none.
    """
    with schemas():
        pyhf.schema.validate(spec, "workspace.json")


def _check(channels: Sequence[Channel], normalisation: Mapping[str, float], blinded: bool) -> None:
    if not channels:
        raise ValueError("a counting experiment needs a channel")
    check_names(channels)
    numbers = {f"normalisation '{name}'": value for name, value in normalisation.items()}
    for channel in channels:
        if channel.observed is None and not blinded:
            raise ValueError(f"channel '{channel.name}' has no observed count, and is not blinded")
        for what in ("signal", "background", "signal_stat", "background_stat", "background_shape"):
            numbers[f"{what} of channel '{channel.name}'"] = getattr(channel, what)
        if not blinded:
            numbers[f"observed of channel '{channel.name}'"] = float(channel.observed or 0)
        for source, shift in channel.signal_shifts.items():
            numbers[f"1 + shift '{source}' of channel '{channel.name}'"] = 1 + shift
    check_numbers(numbers)


def check_names(channels: Sequence[SignalChannel]) -> None:
    """Raise a ValueError if two channels have the same name."""
    names = [channel.name for channel in channels]
    if len(set(names)) < len(names):
        raise ValueError(f"channels of the same name: {', '.join(names)}")


def check_numbers(numbers: Mapping[str, float]) -> None:
    """Raise a ValueError that names the first number which is negative or not finite."""
    for what, value in numbers.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{what} must be finite and not negative, not {value}")


def lognormal(name: str, relative: float) -> list[dict[str, Any]]:
    """Modifiers for a relative uncertainty of a sample: one, or none if it is 0."""
    if relative == 0:
        return []
    factors = {"hi": 1 + relative, "lo": 1 / (1 + relative)}
    return [{"name": name, "type": "normsys", "data": factors}]


def factor(name: str) -> dict[str, Any]:
    """Modifier that multiplies a sample by a free parameter."""
    return {"name": name, "type": "normfactor", "data": None}


def _signal(channel: Channel, normalisation: Mapping[str, float]) -> dict[str, Any]:
    modifiers = signal_modifiers(channel, normalisation)
    return {"name": "signal", "data": [channel.signal], "modifiers": modifiers}


def signal_modifiers(
    channel: SignalChannel, normalisation: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return the strength and the uncertainties of the yield of a channel's signal."""
    modifiers = [factor(STRENGTH)]
    if channel.signal > 0:
        for name, relative in (*normalisation.items(), *channel.signal_shifts.items()):
            modifiers += lognormal(f"signal_{name}", relative)
        modifiers += lognormal(f"signal_statistics_{channel.name}", channel.signal_stat)
    return modifiers


def _background(channel: Channel) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The background in the window and, if it is constrained by a count, in its sidebands."""
    expected, stat, shape = channel.background, channel.background_stat, channel.background_shape
    theta = factor(f"background_{channel.name}")
    if expected <= MIN_BACKGROUND:
        # nothing seen, which the shape does not scale: both are what might have been
        expected, stat, shape = 0.0, math.hypot(stat, shape), 0.0
    modifiers = lognormal(f"background_shape_{channel.name}", shape / expected if shape else 0.0)
    window = {"name": "background", "data": [expected], "modifiers": modifiers}
    if stat <= PRECISE * expected:
        window["data"] = [max(expected, MIN_BACKGROUND)]
        if stat:
            modifiers += lognormal(f"background_statistics_{channel.name}", stat / expected)
        return window, None
    modifiers.append(theta)
    # θ = 1 is the expectation or, where that is zero, one event in the sidebands
    seen = (expected / stat) ** 2
    if seen == 0:
        window["data"] = [stat]
    sidebands = {"name": "background", "data": [seen or 1.0], "modifiers": [theta], "seen": seen}
    return window, sidebands
