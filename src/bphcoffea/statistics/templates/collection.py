"""Templates of a model from the folders of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bphcoffea.analysis import TemplateFit, repeated
from bphcoffea.errors import FitError
from bphcoffea.results import RunFolder
from bphcoffea.statistics.templates.region_reader import RegionReader
from bphcoffea.statistics.templates.sources import (
    check_luminosity,
    check_patterns,
    datasets_by_era,
    datasets_by_process,
    shared_events,
    signal_processes,
)
from bphcoffea.statistics.templates.template import TemplateChannel


@dataclass(frozen=True)
class Collection:
    """Templates of all channels, and where they come from.

    Attributes
    ----------
    channels
        The channels.
    processes
        Names of the datasets of each process.
    signal
        Processes that the strength multiplies.
    unused
        Names of simulated datasets of no process.
    overlaps
        Numbers of events that two regions share, by the names of the regions.
    """

    channels: tuple[TemplateChannel, ...]
    processes: Mapping[str, tuple[str, ...]]
    signal: tuple[str, ...]
    unused: tuple[str, ...] = ()
    overlaps: Mapping[tuple[str, str], int] = field(default_factory=dict)


def collect(fit: TemplateFit, runs: Sequence[RunFolder], *, unblind: bool = False) -> Collection:
    """Read the templates of a model.

    Parameters
    ----------
    fit
        The declaration.
    runs
        Folders of the runs.
    unblind
        Read data of blind regions and bins. Otherwise they are not read.

    Raises
    ------
    StillBlindError
        If hidden data are asked for that a run does not have.
    FitError
        If a declared name does not exist, a dataset has no scale, or there are no data.
    """
    eras = datasets_by_era(fit, runs)
    everything = [source for sources in eras.values() for source in sources]
    processes, unused = datasets_by_process(fit, everything)
    signal = signal_processes(fit, processes)
    check_patterns(fit, eras, processes)
    channels = []
    for era, sources in eras.items():
        check_luminosity(era, sources)
        for region in fit.fit_regions:
            reader = RegionReader(fit, region, era, sources)
            channels.append(reader.channel(processes, unblind=unblind))
    names = [channel.name for channel in channels]
    if repeated(names):
        raise FitError(f"two channels are named '{repeated(names)[0]}'; rename an era or a region")
    return Collection(
        tuple(channels),
        {name: tuple(dict.fromkeys(s.name for s in of)) for name, of in processes.items()},
        signal,
        tuple(dict.fromkeys(source.name for source in unused)),
        shared_events(fit, everything),
    )
