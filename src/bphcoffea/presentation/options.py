"""What is drawn of a run, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from bphcoffea.presentation.figure_style import FigureStyle


@dataclass(frozen=True)
class FigureOptions:
    """Choice and look of the figures of a run.

    Attributes
    ----------
    shapes
        Scale each simulated process to the area of the data, instead of its cross section.
    unblind
        Also draw the data that the analysis declares blind; the run must have kept them.
    pdf
        Also write a PDF of each figure, which takes as long as all PNGs.
    histograms
        Names or patterns of the histograms to draw; cutflows and limits are left out then.
    categories
        Names or patterns of the categories and regions to draw; all if empty.
    datasets
        Names or patterns of the datasets to draw; all if empty.
    log_y
        Scale of the vertical axes; None for that of each histogram.
    experiment, status
        Name above the figures instead of the samples, such as CMS, and a status behind it.
    style
        Groups, labels and colours.
    scale_signal
        Factor of simulated signals, which are then lines; None for those of the analysis.
    breakdown
        Also draw the contribution of each source to the band.
    variation
        Draw only this variation of the simulation, without ``Up`` or ``Down``, beside the nominal
        distribution.
    efficiency
        Also draw the fraction of the events in each category or region.
    processes
        Number of processes that draw; None for one per core if there are many figures.
    """

    shapes: bool = False
    unblind: bool = False
    pdf: bool = False
    histograms: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    log_y: bool | None = None
    experiment: str = ""
    status: str = ""
    style: FigureStyle = field(default_factory=FigureStyle)
    scale_signal: float | None = None
    breakdown: bool = False
    variation: str | None = None
    efficiency: bool = False
    processes: int | None = None
