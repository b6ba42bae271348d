"""Datasets of a template model: those of its eras and processes, and checks of their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import hist
import numpy as np

from bphcoffea.analysis import AnalysisRecord, TemplateFit, as_names, matches, repeated
from bphcoffea.errors import FitError, alternatives
from bphcoffea.results import DatasetRecord, Normalisation, RunFolder


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """A run folder, each file of which is read once."""

    folder: RunFolder
    analysis: AnalysisRecord
    normalisation: Mapping[str, Normalisation]
    histograms: Mapping[str, hist.Hist]

    @classmethod
    def of(cls, folder: RunFolder) -> OpenedRun:
        """Read the files of a run folder."""
        return cls(folder, folder.analysis, folder.normalisation, folder.histograms())

    @property
    def path(self) -> Path:
        """Path of the folder."""
        return self.folder.path


@dataclass(frozen=True)
class Source:
    """A dataset of a run."""

    run: OpenedRun
    name: str
    metadata: DatasetRecord


def datasets_by_era(fit: TemplateFit, runs: Sequence[RunFolder]) -> dict[str, list[Source]]:
    """Return the datasets of each era of the model."""
    found: dict[str, list[Source]] = {}
    names = [run.path.absolute().name for run in runs] if len(runs) > 1 else [""]
    if not fit.eras and repeated(names):
        raise FitError(
            f"{runs[0].path}: two run folders are named '{repeated(names)[0]}', so that their eras "
            "have the same name; declare eras"
        )
    for folder, own_era in zip(runs, names, strict=True):
        run = OpenedRun.of(folder)
        for name, metadata in folder.datasets.items():
            eras = [era for era, of in fit.eras.items() if matches(metadata.era, of)]
            if len(eras) > 1:
                raise FitError(
                    f"{run.path}: the era '{metadata.era}' of dataset '{name}' matches "
                    f"{' and '.join(eras)}; eras must not share datasets"
                )
            for era in eras if fit.eras else [own_era]:
                sources = found.setdefault(era, [])
                if any(other.name == name for other in sources):
                    raise FitError(
                        f"{run.path}: dataset '{name}' is in another run of the same era as well, "
                        "so that it would count twice"
                    )
                sources.append(Source(run, name, metadata))
    if empty := [era for era in fit.eras if era not in found]:
        raise FitError(f"no dataset of the runs belongs to the era '{empty[0]}'")
    return {era: found[era] for era in fit.eras or found}


def datasets_by_process(
    fit: TemplateFit, sources: Sequence[Source]
) -> tuple[dict[str, list[Source]], list[Source]]:
    """Return the simulated datasets of each process, and those of none."""
    processes: dict[str, list[Source]] = {name: [] for name in fit.processes}
    unused = []
    for source in sources:
        if not source.metadata.is_mc:
            continue
        process = source.metadata.process or source.name
        groups = [
            group
            for group, patterns in fit.processes.items()
            if matches(process, patterns) or matches(source.name, patterns)
        ]
        if len(groups) > 1:
            raise FitError(
                f"dataset '{source.name}' of process '{process}' belongs to "
                f"{' and '.join(groups)}; processes must not share datasets"
            )
        if not fit.processes:
            groups = [process]
        for group in groups:
            processes.setdefault(group, []).append(source)
        if not groups:
            unused.append(source)
    for name, of in processes.items():
        if not of:
            raise FitError(f"no simulated dataset of the runs belongs to the process '{name}'")
        points = {(s.metadata.mass, s.metadata.ctau) for s in of if s.metadata.kind == "signal"}
        if len(points) > 1:
            raise FitError(
                f"process '{name}' holds signals of several masses or lifetimes "
                f"({', '.join(dict.fromkeys(s.name for s in of))}); declare processes with one each"
            )
    if not processes:
        raise FitError("the runs have no simulated dataset, of which templates are made")
    return processes, unused


def signal_processes(
    fit: TemplateFit, processes: Mapping[str, Sequence[Source]]
) -> tuple[str, ...]:
    """Return the names of the processes that the strength multiplies."""
    signal = as_names(fit.signal) or tuple(
        name
        for name, sources in processes.items()
        if any(source.metadata.kind == "signal" for source in sources)
    )
    if unknown := [name for name in signal if name not in processes]:
        raise FitError(
            f"the signal '{unknown[0]}' is no process{alternatives(unknown[0], processes)}"
        )
    if not signal:
        raise FitError(f"no process is the signal; name one of: {', '.join(processes)}")
    if len(signal) == len(processes):
        raise FitError(f"all processes are signals ({', '.join(signal)}); there is no background")
    return signal


def check_patterns(
    fit: TemplateFit, eras: Mapping[str, object], processes: Mapping[str, object]
) -> None:
    """Raise an error for a pattern that matches nothing: it is probably misspelt."""
    regions = [region.name for region in fit.fit_regions]
    known = {"processes": list(processes), "regions": regions, "eras": list(eras)}
    declared = [
        *((f"normalisation '{one.name}'", one) for one in fit.normalisations),
        *((f"free normalisation '{one.name}'", one) for one in fit.free),
        *((f"variations {', '.join(as_names(one.names))}", one) for one in fit.variations),
    ]
    faults = [
        f"{what}: no {kind} match '{pattern}'{alternatives(pattern, names)}"
        for what, one in declared
        for kind, names in known.items()
        for pattern in as_names(getattr(one, kind))
        if not any(matches(name, (pattern,)) for name in names)
    ]
    faults += [
        f"blind: no regions match '{pattern}'{alternatives(pattern, regions)}"
        for pattern in as_names(fit.blind)
        if not any(matches(name, (pattern,)) for name in regions)
    ]
    FitError.raise_for(faults)


def check_luminosity(era: str, sources: Sequence[Source]) -> None:
    """Raise an error if simulation of an era is scaled to data of another one."""
    for source in sources:
        if not source.metadata.is_mc:
            continue
        data = source.run.normalisation[source.name].data
        of_era = [s.name for s in sources if s.run is source.run]
        if foreign := [name for name in data if name not in of_era]:
            raise FitError(
                f"{source.run.path}: simulation '{source.name}' of the era '{era}' is scaled to "
                f"the luminosity of {', '.join(foreign)}, which belongs to another era"
            )


def shared_events(fit: TemplateFit, sources: Sequence[Source]) -> dict[tuple[str, str], int]:
    """Return the numbers of simulated events that two regions share, if the run has tables."""
    names = [region.name for region in fit.fit_regions]
    shared: dict[tuple[str, str], int] = {}
    for source in sources:
        regions = [one.name for one in source.run.analysis.regions]
        chosen = [name for name in names if name in regions]
        has_table = source.run.folder.has_candidates(source.name)
        if not source.metadata.is_mc or len(chosen) < 2 or not has_table:
            continue
        table = source.run.folder.candidates(source.name, [f"in_{name}" for name in chosen])
        members = {name: table[f"in_{name}"].to_numpy() for name in chosen}
        for number, first in enumerate(chosen):
            for second in chosen[number + 1 :]:
                common = int(np.count_nonzero(members[first] & members[second]))
                if common:
                    shared[first, second] = shared.get((first, second), 0) + common
    return shared
