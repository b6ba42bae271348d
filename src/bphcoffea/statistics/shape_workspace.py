"""Mass spectra of several categories, as HistFactory workspaces that pyhf reads.

In bin i of each channel the expected count is

    ν_i = µ · s_i(δ, ω) · Π κ_k^α_k + θ · b_i · exp[σ (x_i - x̄) ε] · Π (r_i,l)^β_l

with the strength µ; the signal s_i, whose mean and width move with constrained δ and ω; relative
uncertainties κ, constrained; the free yield θ of the background; its slope ε; and constrained β,
which move the exponential towards other shapes with the ratio r.

HistFactory has no parametric functions. A background that remains exponential if its slope changes
consists of one sample per bin, each with a factor that is exponential in ε. The samples have the
same names in all channels (``background_0`` and so on). pyhf always constrains a `normsys`, and
rejects ``sigmas`` for it. The unit of ε is therefore so large that the constraint does not matter:
it changes the ratio of the density at the ends of the range by exp(`SLOPE_UNIT`). It also keeps
slopes finite without any event. The yield of the background is not constrained.

With pyhf's interpolation ``code1`` the background is exactly exponential. With the default,
``code4``, it is so to 0.4% of its change if a slope moves by up to one unit, and exactly beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from typing_extensions import override

from bphcoffea.arrays import Floats
from bphcoffea.statistics.counting import (
    Content,
    SignalChannel,
    check,
    factor,
    lognormal,
    measured,
)
from bphcoffea.statistics.mass_background import Background
from bphcoffea.statistics.signal_shape import SignalShape
from bphcoffea.statistics.workspace import HistoSys, Modifier, SampleSpec, Workspace

#: Logarithm of the ratio of the density at the ends of the range, for a slope of one unit: a few
#: events do not determine it better.
SLOPE_UNIT: Final = 3.0
#: Largest ratio of an alternative background to the exponential in a bin, and inverse of the
#: smallest one: a polynomial may be zero.
MAX_RATIO: Final = 5.0
#: Smallest background of a bin, in events, so that no likelihood vanishes.
MIN_EVENTS: Final = 1e-9


@dataclass(frozen=True)
class MassChannel(SignalChannel):
    """Mass spectrum of one category: expected signal, background, and observed counts.

    The signal is that between the first and the last edge.

    Attributes
    ----------
    edges
        Edges of the bins, GeV; shape (bins + 1,).
    shape
        Distribution of the signal.
    background
        Expected background. Its yield and slope are free in fits.
    observed
        Observed events per bin, shape (bins,); None if blinded.
    mean_error
        Uncertainty of the signal's mean, GeV.
    width_error
        Relative uncertainty of the signal's width.
    """

    edges: tuple[float, ...]
    shape: SignalShape
    background: Background
    observed: tuple[float, ...] | None = None
    mean_error: float = 0.0
    width_error: float = 0.0

    @override
    def numbers(self) -> dict[str, float]:
        if len(self.edges) < 2 or not all(np.diff(self.edges) > 0):
            raise ValueError(f"the edges of channel '{self.name}' do not ascend")
        errors = {"mean_error": self.mean_error, "width_error": self.width_error}
        return super().numbers() | errors | {"background": self.background.events}

    @override
    def observations(self) -> dict[str, float]:
        if self.observed is None:
            raise ValueError(f"channel '{self.name}' has no observed counts, and is not blinded")
        seen, bins = len(self.observed), len(self.edges) - 1
        if seen != bins:
            raise ValueError(f"{seen} observed counts of channel '{self.name}', but {bins} bins")
        return {f"observed count {i}": count for i, count in enumerate(self.observed)}

    def expected_signal(self, mean: float = 0.0, width: float = 1.0) -> Floats:
        """Return the signal per bin, with its mean moved (GeV) and its width multiplied."""
        fractions = self.shape.shifted(mean, width).fractions(self.edges)
        events: Floats = self.signal * fractions / np.sum(fractions)
        return events

    def expected_background(self) -> Floats:
        """Return the background per bin, shape (bins,)."""
        return np.maximum(self.background.expected(self.edges), MIN_EVENTS)

    def signal_variations(self) -> dict[str, tuple[Floats, Floats]]:
        """Return the signal with its mean and width one standard deviation up and down, by name."""
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
        """Return the factors of the background one standard deviation up, by name; shape (bins,).

        The factors one standard deviation down are the inverse.
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


def mass_workspace(channels: Sequence[MassChannel], *, blinded: bool = True) -> Workspace:
    """Return the workspace of mass spectra.

    Parameters
    ----------
    channels
        The categories.
    blinded
        Use the expectation without signal in place of ``observed``, which is not read.

    Returns
    -------
    A workspace of pyhf's schema. Its measurement is called ``workspace.BLINDED`` or
    ``workspace.OBSERVED``.

    Raises
    ------
    ValueError
        If there are no channels, two have the same name, a number is negative or not finite, edges
        do not ascend, or a channel of an unblinded workspace has no ``observed``.
    """
    check(channels, {}, blinded=blinded)
    contents: list[Content] = []
    highest: dict[str, float] = {}
    for channel in channels:
        expected = channel.expected_background()
        seen = expected if blinded else np.array(channel.observed)
        samples = [_signal(channel), *_backgrounds(channel)]
        contents.append((channel.name, samples, seen.tolist()))
        highest[f"background_{channel.name}"] = 10 + 5 * float(np.sum(seen) / np.sum(expected))
    return measured(contents, highest, blinded=blinded)


def _signal(channel: MassChannel) -> SampleSpec:
    modifiers = channel.modifiers({})
    if channel.signal > 0:
        for name, (up, down) in channel.signal_variations().items():
            modifier: HistoSys = {
                "name": name,
                "type": "histosys",
                "data": {"hi_data": up.tolist(), "lo_data": down.tolist()},
            }
            modifiers.append(modifier)
    return {"name": "signal", "data": channel.expected_signal().tolist(), "modifiers": modifiers}


def _backgrounds(channel: MassChannel) -> list[SampleSpec]:
    """Return the samples of the background, one per bin."""
    expected, factors = channel.expected_background(), channel.background_factors()
    samples: list[SampleSpec] = []
    for index, content in enumerate(expected):
        data = np.zeros(len(expected))
        data[index] = float(content)
        modifiers: list[Modifier] = [factor(f"background_{channel.name}")]
        for name, values in factors.items():
            modifiers += lognormal(name, float(values[index]) - 1)
        samples.append(
            {"name": f"background_{index}", "data": data.tolist(), "modifiers": modifiers}
        )
    return samples
