"""What differs between two runs: their code, declarations, corrections and metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Final

from bphcoffea.analysis import AnalysisRecord
from bphcoffea.results import RunFolder

#: Sections of corrections that change what is selected, and not only weights.
_SELECTING: Final = (
    *("jet_energy.", "muon_momentum.", "electron_energy.", "tau_energy."),
    *("unclustered_energy.", "luminosity.golden"),
)
#: Metadata that normalise and label a dataset, and select nothing.
_NORMALISING: Final = {
    *("luminosity", "cross_section", "cross_section_uncertainty", "filter_efficiency"),
    *("skim_efficiency", "processed_events", "prescale", "label", "kind", "process"),
}
#: Parts of the record of an era's corrections that hold several sections, by name.
_FAMILIES: Final = (
    *("objects", "btag", "momentum", "luminosity"),
    *("jet_energy", "muon_momentum", "electron_energy", "tau_energy", "unclustered_energy"),
)
#: Parts that are no sections.
_NO_SECTIONS: Final = ("name", "eras", "file", "sha256")


class RecordedRun:
    """What the folder of a run says about how it was made.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.provenance: Mapping[str, Any] = folder.read("provenance.json")
        self.analysis: AnalysisRecord = folder.analysis

    @cached_property
    def ranges(self) -> dict[str, dict[str, list[tuple[int, int]]]]:
        """Entry ranges [start, stop) that were processed, by dataset and file."""
        found: dict[str, dict[str, list[tuple[int, int]]]] = {}
        for chunk in self.folder.chunks.select(["dataset", "file", "start", "stop"]).to_pylist():
            of_file = found.setdefault(chunk["dataset"], {}).setdefault(chunk["file"], [])
            of_file.append((chunk["start"], chunk["stop"]))
        return found

    @cached_property
    def failed(self) -> set[tuple[str, str]]:
        """Datasets and files of which some entries could not be read."""
        failed = self.folder.read("ledger.json")["failed"]
        return {(failure["dataset"], failure["file"]) for failure in failed}

    def sections(self, dataset: str) -> dict[str, object]:
        """Return the sections of the corrections of a dataset's era, without paths, by name."""
        if dataset not in self.provenance["datasets"]:
            return {}
        era = self.provenance["datasets"][dataset]["era"]
        for record in self.provenance["corrections"]:
            if any(fnmatchcase(era, pattern) for pattern in record["eras"]):
                return dict(_sections(record))
        return {}

    @property
    def texts(self) -> set[str]:
        """Texts of all requirements of cuts and regions."""
        return {text for _, text in _requirements(self.analysis)}


def _sections(record: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for kind, content in record.items():
        if kind in _NO_SECTIONS:
            continue
        if kind in _FAMILIES:
            yield from ((f"{kind}.{name}", _without_paths(part)) for name, part in content.items())
        else:
            yield kind, _without_paths(content)


def _without_paths(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_paths(value) for key, value in content.items() if key != "file"}
    return [_without_paths(part) for part in content] if isinstance(content, list) else content


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys whose values differ, or that only one of two mappings has."""
    keys = dict.fromkeys((*first, *second))
    missing = object()
    return tuple(key for key in keys if first.get(key, missing) != second.get(key, missing))


@dataclass(frozen=True)
class Changes:
    """What differs between two runs.

    Attributes
    ----------
    code
        Differences of the analysis' source, its models, Python and packages, in words.
    classifier
        Whether the classifiers differ.
    objects
        Names of the collections of objects that are declared differently.
    declared
        Requirements that only one of the runs declares, in words.
    hidden
        Whether the runs hide different windows of the data.
    metadata
        Keys of the metadata of the fileset that differ, by dataset.
    sections
        Sections of the corrections that differ, by dataset.
    """

    code: tuple[str, ...]
    classifier: bool
    objects: tuple[str, ...]
    declared: tuple[str, ...]
    hidden: bool
    metadata: Mapping[str, tuple[str, ...]]
    sections: Mapping[str, tuple[str, ...]]

    @classmethod
    def between(cls, first: RecordedRun, second: RecordedRun) -> Changes:
        """Return what differs between two runs."""
        one, other = first.provenance, second.provenance
        common = [name for name in one["datasets"] if name in other["datasets"]]
        objects = [{each.name: each for each in run.analysis.objects} for run in (first, second)]
        return cls(
            code=(*_code(one, other), *_scores(first.analysis, second.analysis)),
            classifier=_without_paths(one["classifier"]) != _without_paths(other["classifier"]),
            objects=_differing(*objects),
            hidden=first.folder.hidden != second.folder.hidden,
            declared=tuple(_declared(first.analysis, second.analysis)),
            metadata={
                name: _differing(one["datasets"][name], other["datasets"][name]) for name in common
            },
            sections={
                name: _differing(first.sections(name), second.sections(name)) for name in common
            },
        )

    @property
    def by_code(self) -> bool:
        """Whether anything differs that is neither input nor correction."""
        return bool(self.code or self.classifier)

    def selecting_metadata(self, dataset: str) -> tuple[str, ...]:
        """Return the keys of the metadata that differ and that may change what is selected."""
        return tuple(key for key in self.metadata.get(dataset, ()) if key not in _NORMALISING)

    def selecting(self, dataset: str) -> tuple[str, ...]:
        """Return the sections that differ and that change what is selected."""
        return tuple(s for s in self.sections.get(dataset, ()) if s.startswith(_SELECTING))

    def lines(self) -> Iterator[str]:
        """Yield what differs, one line each."""
        for what in self.code:
            yield f"code: {what}"
        if self.classifier:
            yield "classifier: differs"
        if self.hidden:
            yield "blinding: other windows are hidden"
        yield from (f"cuts: {what}" for what in self.declared)
        if self.objects:
            yield f"objects: {', '.join(self.objects)}"
        for title, by_dataset in (("corrections", self.sections), ("metadata", self.metadata)):
            of_names: dict[tuple[str, ...], list[str]] = {}
            for dataset, names in by_dataset.items():
                if names:
                    of_names.setdefault(names, []).append(dataset)
            for names, datasets in of_names.items():
                where = "all datasets" if len(datasets) == len(by_dataset) else ", ".join(datasets)
                yield f"{title}: {', '.join(names)} of {where}"


def _code(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    hashes = [run["analysis"]["with_imported_sha256"] for run in (one, other)]
    if hashes[0] != hashes[1]:
        yield "the source of the analysis"
    versions = [{"python": run["python"], **run["packages"]} for run in (one, other)]
    for package in _differing(*versions):
        yield f"{package} {versions[0].get(package, 'none')} → {versions[1].get(package, 'none')}"


def _scores(one: AnalysisRecord, other: AnalysisRecord) -> Iterator[str]:
    models = [{score.name: score.sha256 for score in record.scores} for record in (one, other)]
    yield from (f"the model of the score {name}" for name in _differing(*models))


def _declared(one: AnalysisRecord, other: AnalysisRecord) -> Iterator[str]:
    objects = [
        {(part.name, text) for part in record.objects for text in part.requirements}
        for record in (one, other)
    ]
    before, after = (
        {*_requirements(record), *of_objects}
        for record, of_objects in zip((one, other), objects, strict=True)
    )
    for title, only in (("A", before - after), ("B", after - before)):
        yield from (f"only {title} requires {text} ({name})" for name, text in sorted(only))


def _requirements(record: AnalysisRecord) -> Iterator[tuple[str, str]]:
    """Yield the name of each cut and region, with the text of each of its requirements."""
    for cut in record.cuts:
        yield from ((cut.name, text) for text in cut.requirements)
    for region in record.regions:
        yield from ((region.name, text) for text in region.requirements)
