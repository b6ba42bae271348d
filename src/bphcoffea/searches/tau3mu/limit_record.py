"""Record of limits on B(τ → 3μ), the content of ``limit.json``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from typing_extensions import override

from bphcoffea.html_table import html_table
from bphcoffea.physics import Window
from bphcoffea.searches.tau3mu.normalisation import YearRecord
from bphcoffea.searches.tau3mu.rates import Corrections, Factor
from bphcoffea.searches.tau3mu.signals import Origin
from bphcoffea.statistics import (
    MEDIAN,
    Background,
    Export,
    Limit,
    LimitRecord,
    MassChannel,
    Record,
    SignalFit,
    Workspace,
    mass_workspace,
    write_roofit_spectra,
    write_shape_datacard,
)


@dataclass(frozen=True)
class ChannelRecord(Record):
    """Mass spectrum of a category in one year.

    Attributes
    ----------
    name, category, year
        Name of the channel, such as ``A_2018``, its category and year.
    windows
        Windows in which data are blind, GeV.
    edges
        Edges of the bins, GeV.
    signal
        Events of the signal in the peak at B(τ → 3μ) of the record.
    events
        All expected events by the origin of the τ, candidates with a wrong particle included.
    signal_stat, signal_shifts
        Relative statistical uncertainty of the signal, and its relative changes by source.
    signal_fit, background
        Fits of the simulated signal and of the sidebands.
    observed
        Observed events per bin; None if blinded.
    notes
        Remarks for the user, one sentence each.
    """

    name: str
    category: str
    year: str
    windows: tuple[Window, ...]
    edges: tuple[float, ...]
    signal: float
    events: Mapping[Origin, float]
    signal_stat: float
    signal_shifts: Mapping[str, float]
    signal_fit: SignalFit
    background: Background
    observed: tuple[int, ...] | None
    notes: tuple[str, ...]

    def mass_channel(self) -> MassChannel:
        """Return the channel of a workspace."""
        fit = self.signal_fit
        if fit.shape is None:
            raise ValueError("a channel needs a fit that found a shape")
        return MassChannel(
            name=self.name,
            edges=self.edges,
            signal=self.signal,
            shape=fit.shape,
            background=self.background,
            observed=None if self.observed is None else tuple(map(float, self.observed)),
            signal_stat=self.signal_stat,
            mean_error=fit.mean_error,
            width_error=fit.width_error,
            signal_shifts=self.signal_shifts,
        )


@dataclass(frozen=True)
class FittedBranching(Record):
    """Fitted B(τ → 3μ) with its error, and the p-value and significance of the signal."""

    branching: float
    error: float
    p_value: float
    significance: float


@dataclass(frozen=True)
class GroupLimit(Record):
    """Limits on B(τ → 3μ) of some channels together.

    Attributes
    ----------
    name
        Name of a category, of a year, or ``all``.
    channels
        Names of the channels.
    limits
        Limit at each confidence level.
    fitted
        Fitted branching fraction; None if blinded.
    """

    name: str
    channels: tuple[str, ...]
    limits: tuple[Limit, ...]
    fitted: FittedBranching | None


@dataclass(frozen=True)
class BranchingLimit(LimitRecord):
    """Limits on B(τ → 3μ) of each category, each year and all together.

    Attributes
    ----------
    search
        Name of the search.
    blinded, run_blinded
        Whether the data in the windows were not used, and whether the run hides them.
    complete, partial
        Whether all runs processed all requested chunks, and whether one of them is partial.
    branching
        B(τ → 3μ) at a strength of 1.
    fraction_b
        Fraction of the Ds from b hadrons; None if unknown.
    corrections
        Corrections of the expected signal.
    branching_fractions
        Branching fractions of the normalisation by name.
    years
        Expected signal of each year.
    channels
        Mass spectra of all categories and years.
    notes
        Remarks for the user, one sentence each.
    levels
        Confidence levels.
    limits
        Limits of groups of channels.
    """

    search: str
    blinded: bool
    run_blinded: bool
    complete: bool
    partial: bool
    branching: float
    fraction_b: Factor | None
    corrections: Corrections
    branching_fractions: Mapping[str, Factor]
    years: Mapping[str, YearRecord]
    channels: tuple[ChannelRecord, ...]
    notes: tuple[str, ...]
    levels: tuple[float, ...] = ()
    limits: tuple[GroupLimit, ...] = ()

    def mass_channels(self, names: Collection[str]) -> list[MassChannel]:
        """Return some channels for a workspace or datacard."""
        return [channel.mass_channel() for channel in self.channels if channel.name in names]

    def workspace(self, names: Collection[str]) -> Workspace:
        """Return the workspace of some channels.

        A strength of 1 is a B(τ → 3μ) of :attr:`branching`.
        """
        return mass_workspace(self.mass_channels(names), blinded=self.blinded)

    @override
    def exports(self) -> Iterator[Export]:
        """Yield the likelihoods of each category, each year and all together."""
        for group in self.limits:
            channels = self.mass_channels(group.channels)
            yield Export(
                f"tau3mu_{group.name}",
                partial(write_shape_datacard, channels),
                partial(self.workspace, group.channels),
                write_roofit=partial(write_roofit_spectra, channels),
            )

    def __repr__(self) -> str:
        names = ", ".join(group.name for group in self.limits)
        return f"BranchingLimit({names}; {'blinded' if self.blinded else 'observed'})"

    def _repr_html_(self) -> str:
        """Return a table of the limits for notebooks."""
        rows = [
            (
                group.name,
                f"{limit.level:.0%}",
                f"{limit.expected[MEDIAN]:.3g}",
                "–" if limit.observed is None else f"{limit.observed:.3g}",
            )
            for group in self.limits
            for limit in group.limits
        ]
        header = ("channels", "CL", "median expected", "observed")
        return html_table(header, rows, "upper limits on B(τ → 3μ)")
