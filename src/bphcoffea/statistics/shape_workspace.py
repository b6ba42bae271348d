"""Mass spectra of several categories as a HistFactory workspace that pyhf reads.

In bin i of each channel the expected count is

    ν_i = µ · s_i(δ, ω) · Π κ_k^α_k + θ · b_i · exp[σ (x_i - x̄) ε] · Π (r_i,l)^β_l

with the strength µ; the signal s_i, whose mean and width move with constrained δ and ω; relative
uncertainties κ, constrained; the free yield θ of the background; its slope ε; and constrained β,
which lead from the exponential to other shapes of ratio r.

HistFactory has no parametric functions. A background that stays exponential, however much its slope
moves, is made of a sample for each bin: the factor of each is exponential in ε. The samples have
the same names in all channels (``background_0`` and so on). pyhf can't leave a `normsys` without a
constraint: it refuses ``sigmas`` for it. The unit of ε is therefore so large that the constraint
does not matter: it changes the ratio of the density at the ends of the range by exp(`SLOPE_UNIT`).
That also keeps slopes finite where there are no events. The background's yield is not constrained.

With pyhf's interpolation ``code1`` the background is an exponential exactly; with its default,
``code4``, to 0.4% of its change where a slope moves by one unit or less, and exactly beyond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.statistics.counting import (
    BLINDED,
    OBSERVED,
    STRENGTH,
    check_names,
    check_numbers,
    factor,
    lognormal,
    signal_modifiers,
    validate,
)
from bphcoffea.statistics.mass_background import Background
from bphcoffea.statistics.signal_shape import SignalShape

#: Logarithm of the ratio of the density at the ends of the range, for a slope of one unit: of a few
#: events in the range, no more can be told.
SLOPE_UNIT: Final = 3.0
#: Largest ratio of an alternative background to the exponential in a bin, and inverse of the
#: smallest: a polynomial may be zero.
MAX_RATIO: Final = 5.0
#: Fewest events of the background in a bin, so that no likelihood vanishes.
MIN_EVENTS: Final = 1e-9


@dataclass(frozen=True)
class MassChannel:
    """Mass spectrum of one category: expected signal, background, and observed counts.

    Attributes
    ----------
    name
        The category, with its year where there are several; unique in a workspace.
    edges
        Edges of the bins, GeV. Shape (bins + 1,).
    signal
        Events expected between the first and the last edge at a strength of 1.
    shape
        Distribution of the signal.
    background
        Expected without signal. Its yield and slope are free in fits.
    observed
        Events seen in each bin, shape (bins,); None if blinded.
    signal_stat
        Relative statistical uncertainty of ``signal``.
    mean_error
        Uncertainty of the signal's mean, GeV.
    width_error
        Relative uncertainty of the signal's width.
    signal_shifts
        Relative change of ``signal`` when a named source rises by one standard deviation; above -1.
        Sources of the same name are fully correlated between channels.
    """

    name: str
    edges: tuple[float, ...]
    signal: float
    shape: SignalShape
    background: Background
    observed: tuple[float, ...] | None = None
    signal_stat: float = 0.0
    mean_error: float = 0.0
    width_error: float = 0.0
    signal_shifts: Mapping[str, float] = field(default_factory=dict)

    def expected_signal(self, mean: float = 0.0, width: float = 1.0) -> Floats:
        """Events of the signal in each bin, its mean moved (GeV) and its width multiplied."""
        fractions = self.shape.shifted(mean, width).fractions(self.edges)
        events: Floats = self.signal * fractions / np.sum(fractions)
        return events

    def expected_background(self) -> Floats:
        """Events of the background in each bin, shape (bins,)."""
        return np.maximum(self.background.expected(self.edges), MIN_EVENTS)

    def signal_variations(self) -> dict[str, tuple[Floats, Floats]]:
        """Signal with its mean and its width one standard deviation up and down, by name."""
        variations = {}
        if self.mean_error > 0:
            up, down = (self.expected_signal(mean=sign * self.mean_error) for sign in (1, -1))
            variations[f"signal_mean_{self.name}"] = up, down
        if self.width_error > 0:
            scale = 1 + self.width_error
            up, down = (self.expected_signal(width=factor) for factor in (scale, 1 / scale))
            variations[f"signal_width_{self.name}"] = up, down
        return variations

    def background_factors(self) -> dict[str, Floats]:
        """Factors of the background in each bin one standard deviation up, by name; shape (bins,).

        Down, they are the inverse.
        """
        low, high = self.background.range
        expected = self.expected_background()
        unit = SLOPE_UNIT / (high - low)
        # integrals over bins of equal width are proportional to the density in the middle
        middles = (np.array(self.edges[1:]) + np.array(self.edges[:-1])) / 2
        middle = float(expected @ middles / np.sum(expected))
        factors = {f"slope_{self.name}": np.exp(unit * (middles - middle))}
        for name in self.background.alternatives:
            ratio = self.background.expected(self.edges, name) / expected
            factors[f"background_{name}_{self.name}"] = np.clip(ratio, 1 / MAX_RATIO, MAX_RATIO)
        return factors


def shape_workspace(
    channels: Sequence[MassChannel],
    normalisation: Mapping[str, float] | None = None,
    *,
    blinded: bool = True,
) -> dict[str, Any]:
    """Make the workspace of mass spectra, to be given to ``limits.upper_limit``.

    Parameters
    ----------
    channels
        The categories.
    normalisation
        Relative uncertainties of the signal by name, common to all channels.
    blinded
        Take what is expected without signal in place of ``observed``, which is not looked at.

    Returns
    -------
    What pyhf's schema calls a workspace, to be written as JSON. Its measurement is called
    ``counting.BLINDED`` or ``counting.OBSERVED``.

    Raises
    ------
    ValueError
        When the channels are not usable: none, two of one name, numbers that are negative or not
        finite, edges that do not rise, or no ``observed`` although not blinded.
    """
    normalisation = normalisation or {}
    _check(channels, normalisation, blinded)
    spec: dict[str, Any] = {"channels": [], "observations": [], "version": "1.0.0"}
    parameters = []
    for channel in channels:
        expected = channel.expected_background()
        seen = expected if blinded else np.array(channel.observed)
        samples = [_signal(channel, normalisation), *_backgrounds(channel)]
        spec["channels"].append({"name": channel.name, "samples": samples})
        spec["observations"].append({"name": channel.name, "data": seen.tolist()})
        highest = 10 + 5 * float(np.sum(seen) / np.sum(expected))
        # not 0, where the likelihood vanishes
        bounds = [[1e-6, highest]]
        parameters.append({"name": f"background_{channel.name}", "inits": [1.0], "bounds": bounds})
    config = {"poi": STRENGTH, "parameters": parameters}
    spec["measurements"] = [{"name": BLINDED if blinded else OBSERVED, "config": config}]
    validate(spec)
    return spec


def _signal(channel: MassChannel, normalisation: Mapping[str, float]) -> dict[str, Any]:
    modifiers = signal_modifiers(channel, normalisation)
    if channel.signal > 0:
        for name, (up, down) in channel.signal_variations().items():
            data = {"hi_data": up.tolist(), "lo_data": down.tolist()}
            modifiers.append({"name": name, "type": "histosys", "data": data})
    return {"name": "signal", "data": channel.expected_signal().tolist(), "modifiers": modifiers}


def _backgrounds(channel: MassChannel) -> list[dict[str, Any]]:
    """The background's samples, one for each bin."""
    expected, factors = channel.expected_background(), channel.background_factors()
    samples = []
    for index, content in enumerate(expected):
        data = np.zeros(len(expected))
        data[index] = float(content)
        modifiers = [factor(f"background_{channel.name}")]
        for name, values in factors.items():
            modifiers += lognormal(name, float(values[index]) - 1)
        samples.append(
            {"name": f"background_{index}", "data": data.tolist(), "modifiers": modifiers}
        )
    return samples


def _check(
    channels: Sequence[MassChannel], normalisation: Mapping[str, float], blinded: bool
) -> None:
    if not channels:
        raise ValueError("a limit from mass spectra needs a channel")
    check_names(channels)
    numbers = {f"normalisation '{name}'": value for name, value in normalisation.items()}
    for channel in channels:
        where = f"of channel '{channel.name}'"
        bins = len(channel.edges) - 1
        if bins < 1 or not all(np.diff(channel.edges) > 0):
            raise ValueError(f"the edges {where} do not rise")
        numbers |= {
            f"{what} {where}": getattr(channel, what)
            for what in ("signal", "signal_stat", "mean_error", "width_error")
        }
        numbers[f"background {where}"] = channel.background.events
        for source, shift in channel.signal_shifts.items():
            numbers[f"1 + shift '{source}' {where}"] = 1 + shift
        if blinded:
            continue
        if channel.observed is None:
            raise ValueError(f"channel '{channel.name}' has no observed counts, and is not blinded")
        if len(channel.observed) != bins:
            raise ValueError(f"{len(channel.observed)} observed counts {where}, but {bins} bins")
        numbers |= {f"observed count {i} {where}": n for i, n in enumerate(channel.observed)}
    check_numbers(numbers)
