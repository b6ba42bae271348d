"""Record of a limit on |V|², the content of ``limit.json``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from typing_extensions import override

from bphcoffea.html_table import html_table
from bphcoffea.physics import Window
from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.statistics import (
    MEDIAN,
    QUANTILES,
    Channel,
    Confidence,
    Export,
    LimitRecord,
    Range,
    Record,
    SidebandFit,
    Workspace,
    counting_workspace,
    unit_of,
    write_datacard,
)


@dataclass(frozen=True)
class SignalYield(Record):
    """Expected signal of a category.

    Attributes
    ----------
    events
        Expected events in the window.
    stat
        Relative statistical uncertainty.
    shifts
        Relative change when a source rises by one standard deviation.
    bound
        Upper bound of the events at 95% confidence if none is simulated; else None.
    """

    events: float
    stat: float
    shifts: Mapping[str, float]
    bound: float | None


@dataclass(frozen=True)
class CategoryCount(SidebandFit):
    """Background of a category, and the observed events in the window; None if blinded."""

    observed: int | None

    def channel(self, name: str, signal: SignalYield) -> Channel:
        """Return the counting experiment with a signal."""
        return Channel(
            name,
            signal.events,
            self.prediction,
            self.observed,
            self.stat,
            self.shape_uncertainty,
            signal_stat=signal.stat,
            signal_shifts=signal.shifts,
        )


@dataclass(frozen=True, kw_only=True)
class MixingPoint(Confidence):
    """CLs of the predicted signal at one |V|².

    Attributes
    ----------
    mixing, ctau
        |V|², and the mean proper decay length that follows from it, mm.
    signal
        Expected signal by category.
    """

    mixing: float
    ctau: float
    signal: Mapping[str, SignalYield]


@dataclass(frozen=True)
class MassLimit(Record):
    """Scan of |V|² at one mass.

    Attributes
    ----------
    mass, width
        Mass of N, and width of its measured mass, GeV.
    uncertainties
        Relative uncertainties of the signal that all categories share, by source.
    categories
        Background and observed events of each category.
    level
        Confidence level.
    points
        Tested mixings, ascending.
    observed
        Excluded ranges of |V|²; None if blinded.
    expected
        Ranges that are excluded without signal, at each of ``quantiles``.
    quantiles
        Standard deviations of the expected results.
    """

    mass: float
    width: float
    uncertainties: Mapping[str, float]
    categories: Mapping[str, CategoryCount]
    level: float
    points: tuple[MixingPoint, ...]
    observed: tuple[Range, ...] | None
    expected: tuple[tuple[Range, ...], ...]
    quantiles: tuple[int, ...] = QUANTILES

    def channels(self, mixing: float) -> list[Channel]:
        """Return the counting experiments at the tested mixing that is nearest to ``mixing``."""
        point = min(self.points, key=lambda tested: abs(math.log(tested.mixing / mixing)))
        return [
            category.channel(name, point.signal[name]) for name, category in self.categories.items()
        ]


@dataclass(frozen=True)
class MixingLimit(LimitRecord):
    """Excluded |V|² at some masses.

    Attributes
    ----------
    blinded
        Whether the data in the windows were not used.
    run_blinded, hidden
        Whether the run hides data, and in which windows, GeV.
    level
        Confidence level.
    neutrino
        Nature of N, ``majorana`` or ``dirac``.
    seed
        Seed of the toys.
    complete, partial
        Whether both runs processed all requested chunks, and whether one of them is partial.
    normalisation
        Yield of Ds → φπ, scaled to the data of the search.
    hypotheses
        Scan at each mass.
    notes
        What may be wrong with the signal.
    """

    blinded: bool
    run_blinded: bool
    hidden: tuple[Window, ...]
    level: float
    neutrino: str
    seed: int
    complete: bool
    partial: bool
    normalisation: DsYield
    hypotheses: tuple[MassLimit, ...]
    notes: tuple[str, ...] = ()

    def nearest(self, mass: float) -> MassLimit:
        """Return the scan at the mass that is nearest to ``mass``, GeV."""
        return min(self.hypotheses, key=lambda tested: abs(tested.mass - mass))

    def workspace(self, mass: float, mixing: float) -> Workspace:
        """Return the workspace at the tested mass, GeV, and |V|² that are nearest."""
        tested = self.nearest(mass)
        return counting_workspace(
            tested.channels(mixing), tested.uncertainties, blinded=self.blinded
        )

    @override
    def exports(self) -> Iterator[Export]:
        """Yield the likelihood of each mass and mixing.

        The signal is scaled so that its upper limit is about 1: at large mixings 10⁵ events or more
        are predicted, which minimisers of other programs cannot handle.
        """
        for tested in self.hypotheses:
            for point in tested.points:
                unit = unit_of(self.workspace(tested.mass, point.mixing))
                scale = float(f"{unit:.0e}") if math.isfinite(unit) else 1.0
                channels = [
                    replace(channel, signal=scale * channel.signal)
                    for channel in tested.channels(point.mixing)
                ]
                meaning = (
                    f"a strength of 1 is {scale:g} times the signal that is predicted at |V|^2 = "
                    f"{point.mixing:.4g} and {tested.mass:g} GeV; this mixing is excluded if the "
                    f"upper limit on the strength is below {1 / scale:.6g}"
                )
                yield Export(
                    f"m{tested.mass:g}_V2_{point.mixing:.3e}",
                    partial(write_datacard, channels, tested.uncertainties, comment=meaning),
                    partial(
                        counting_workspace, channels, tested.uncertainties, blinded=self.blinded
                    ),
                    {
                        "mass": tested.mass,
                        "mixing": point.mixing,
                        "signal_scale": scale,
                        "meaning": meaning,
                    },
                )

    def __repr__(self) -> str:
        masses = ", ".join(f"{tested.mass:g}" for tested in self.hypotheses)
        data = "blinded" if self.blinded else "observed"
        return f"MixingLimit({self.neutrino} N of {masses} GeV, {self.level:.0%} CL, {data})"

    def _repr_html_(self) -> str:
        """Return a table of the excluded ranges for notebooks."""
        rows: list[tuple[Any, ...]] = [
            (
                f"{tested.mass:g}",
                in_words(tested.expected[MEDIAN]),
                "blinded" if tested.observed is None else in_words(tested.observed),
            )
            for tested in self.hypotheses
        ]
        caption = f"|V|² excluded at {self.level:.0%} CL, {self.neutrino} N"
        return html_table(("m [GeV]", "expected", "observed"), rows, caption)


def in_words(ranges: tuple[Range, ...]) -> str:
    """Return the text of excluded ranges."""
    return (
        "; ".join(
            f"{'≤ ' if excluded.open_low else ''}{excluded.low:.3g} to "
            f"{excluded.high:.3g}{' or more' if excluded.open_high else ''}"
            for excluded in ranges
        )
        or "none"
    )
