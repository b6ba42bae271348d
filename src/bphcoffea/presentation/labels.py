"""Texts of figures: those of a run, or newer ones, each in a form that matplotlib can draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from typing_extensions import override

from bphcoffea.analysis import Analysis
from bphcoffea.analysis.description import AnalysisRecord, HistogramRecord
from bphcoffea.datasets import Metadata
from bphcoffea.datasets.fileset import Fileset
from bphcoffea.errors import InputError
from bphcoffea.results.folder import RunFolder

#: Stands for a control character, of which no font has a sign.
NO_SIGN = "\N{REPLACEMENT CHARACTER}"
#: What figures take of the metadata of a dataset, and nothing else does.
OF_DATASETS = ("label",)
#: What figures take of the declaration of a histogram, and nothing else does.
OF_HISTOGRAMS = {"label", "unit", "log_y", "resonances"}


@dataclass(frozen=True)
class Labels:
    """Texts that replace those of a run in its figures.

    Attributes
    ----------
    title
        Title of the analysis; None leaves that of the run.
    datasets
        By dataset, what :data:`OF_DATASETS` names; None for what a dataset does not have any more.
    histograms
        By histogram, what :data:`OF_HISTOGRAMS` names.
    peaks
        Labels of the peaks of the mass fit by their name.
    notes
        Lines about what could not be replaced.
    """

    title: str | None = None
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    histograms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    peaks: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, run: RunFolder, fileset: Fileset | None = None, analysis: Analysis | None = None
    ) -> Labels:
        """Take the texts from a fileset and an analysis as they are now.

        Raises
        ------
        InputError
            If the fileset has no dataset of the run, or the analysis has other histograms.
        """
        datasets: dict[str, dict[str, Any]] = {}
        notes: tuple[str, ...] = ()
        if fileset is not None:
            names = list(run.fileset_metadata)
            for name in (name for name in names if name in fileset.root):
                metadata = fileset[name].metadata.model_dump()
                datasets[name] = {key: metadata.get(key) for key in OF_DATASETS}
            missing = [name for name in names if name not in datasets]
            if not datasets:
                raise InputError(
                    f"{run.path}: the fileset has no dataset of the run ({', '.join(names)}); "
                    "give the one that was run, with other labels"
                )
            if missing:
                notes = (f"{', '.join(missing)}: not in the fileset; the run's labels are drawn",)
        if analysis is None:
            return cls(datasets=datasets, notes=notes)
        _check_histograms(run, analysis)
        record = analysis.describe()
        return cls(
            record.title,
            datasets,
            {
                name: histogram.model_dump(mode="json", include=OF_HISTOGRAMS)
                for name, histogram in record.histograms.items()
            },
            {peak.name: peak.label for peak in record.fit.peaks} if record.fit else {},
            notes,
        )


class LabelledRun(RunFolder):
    """A run as its figures show it: the same numbers, with texts that can be drawn.

    A text with mathtext that matplotlib cannot parse is shown literally, and noted.

    Parameters
    ----------
    run
        The run, which is not changed.
    labels
        Texts that replace the run's own.

    Attributes
    ----------
    notes
        A line for each text that is shown literally, with its place.
    """

    def __init__(self, run: RunFolder, labels: Labels | None = None) -> None:
        super().__init__(run.path, run.output)
        self._labels = labels or Labels()
        self.notes: list[str] = []
        for note in self._labels.notes:
            self._note(note)

    @property
    @override
    def analysis(self) -> AnalysisRecord:
        record = super().analysis
        title = self._labels.title or record.title or record.name
        histograms = {
            name: self._histogram(name, histogram) for name, histogram in record.histograms.items()
        }
        return record.model_copy(
            update={"title": self._drawn(title, "title of the analysis"), "histograms": histograms}
        )

    @property
    @override
    def fileset_metadata(self) -> dict[str, Metadata]:
        datasets = {}
        for name, metadata in super().fileset_metadata.items():
            texts = {"label": metadata.label, "process": metadata.process}
            texts |= self._labels.datasets.get(name, {})
            drawn = {
                key: self._drawn(text, f"dataset '{name}', {key}")
                for key, text in texts.items()
                if text is not None
            }
            if metadata.is_mc and "process" not in drawn and literal(name) != name:
                drawn["process"] = self._drawn(name, f"name of dataset '{name}'")
            datasets[name] = metadata.model_copy(update=dict.fromkeys(texts) | drawn)
        return datasets

    @override
    def read(self, name: str) -> Any:
        content = super().read(name)
        return self._fit(content) if name == "fit.json" else content

    def _histogram(self, name: str, record: HistogramRecord) -> HistogramRecord:
        labels = self._labels.histograms.get(name, {})
        record = HistogramRecord.model_validate({**record.model_dump(), **labels})
        texts = {
            key: self._drawn(text, f"histogram '{name}', {key}")
            for key in ("label", "unit", "variable", "n_minus_1")
            if (text := getattr(record, key))
        }
        resonances = tuple(
            each.model_copy(
                update={"label": self._drawn(each.label, f"histogram '{name}', resonance")}
            )
            for each in record.resonances
        )
        return record.model_copy(update={**texts, "resonances": resonances})

    def _fit(self, content: dict[str, Any]) -> dict[str, Any]:
        for part in (content, *content.get("by", {}).values()):
            part["problems"] = [self._drawn(text, "fit") for text in part.get("problems", ())]
            for peak in part.get("model", {}).get("peaks", ()):
                label = self._labels.peaks.get(peak["name"], peak["label"])
                peak["label"] = self._drawn(label, f"peak '{peak['name']}', label")
        return content

    def _drawn(self, text: str, place: str) -> str:
        drawn = literal(text)
        if drawn != _in_one_line(text):
            self._note(
                f"{place}: '{text}' is no mathtext that can be drawn; it is shown literally "
                "(mathtext stands between two $, and a dollar sign is \\$)"
            )
        return drawn

    def _note(self, note: str) -> None:
        line = _in_one_line(note)
        if line not in self.notes:
            self.notes.append(line)


def literal(text: str) -> str:
    r"""Return a text in one line that matplotlib can draw, literally if it is no mathtext.

    >>> literal(r"$D_s \to \phi\pi$") == r"$D_s \to \phi\pi$"
    True
    >>> print(literal(r"$\foo{$"))
    \$\foo{\$
    """
    line = "".join(c if c.isprintable() else NO_SIGN for c in _in_one_line(text))
    dollars = line.count("$") - line.count(r"\$")
    if dollars and (dollars % 2 or not _can_be_parsed(line)):
        return line.replace(r"\$", "$").replace("$", r"\$")
    return line


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _can_be_parsed(line: str) -> bool:
    try:
        _parser.parse(line, 72, FontProperties())
    except ValueError:
        return False
    return True


_parser: Any = MathTextParser("agg")


def _check_histograms(run: RunFolder, analysis: Analysis) -> None:
    """Raise an InputError if an analysis fills other histograms than a run has."""
    declared = {h.name: h.empty().axes[-1] for h in (*analysis.histograms, *analysis.n_minus_1())}
    found = {name: histogram.axes[-1] for name, histogram in run.histograms().items()}
    differing = {
        "are not in the run": [name for name in declared if name not in found],
        "are only in the run": [name for name in found if name not in declared],
        "have other bins in the run": [
            name
            for name, axis in found.items()
            if name in declared and not np.array_equal(axis.edges, declared[name].edges)
        ],
    }
    faults = [
        f"{run.path}: the histograms {', '.join(names)} of analysis '{analysis.name()}' {what}; "
        "give the analysis that was run, or run again"
        for what, names in differing.items()
        if names
    ]
    if faults:
        raise InputError("\n".join(faults))
