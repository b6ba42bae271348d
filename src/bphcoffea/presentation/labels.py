"""Texts of figures, those of the run or newer ones, in a form that matplotlib can draw."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bphcoffea.analysis import AnalysisRecord, HistogramRecord, ResonanceRecord
from bphcoffea.datasets import Metadata
from bphcoffea.errors import FilesetError, RunError
from bphcoffea.results import RunFolder

if TYPE_CHECKING:
    from bphcoffea.analysis import Analysis
    from bphcoffea.datasets import Fileset

#: Replacement for control characters, which no font can draw.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
#: Fields of a histogram's record that affect its figures alone.
DRAWN_FIELDS = ("label", "unit", "log_y", "resonances")


@dataclass(frozen=True)
class Labels:
    """Texts that replace those of a run in its figures.

    Attributes
    ----------
    title
        Title of the analysis; None keeps that of the run.
    datasets
        Labels by dataset; None removes the label.
    histograms
        Records by histogram; figures use their :data:`DRAWN_FIELDS`.
    peaks
        Labels of the peaks of the mass fit, by name.
    notes
        Notes on texts that could not be replaced.
    """

    title: str | None = None
    datasets: Mapping[str, str | None] = field(default_factory=dict)
    histograms: Mapping[str, HistogramRecord] = field(default_factory=dict)
    peaks: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, run: RunFolder, fileset: Fileset | None = None, analysis: Analysis | None = None
    ) -> Labels:
        """Return the labels of a run, from a newer fileset and a newer analysis.

        Raises
        ------
        FilesetError
            If the fileset has no dataset of the run.
        RunError
            If the analysis has other histograms than the run.
        """
        datasets: dict[str, str | None] = {}
        notes: tuple[str, ...] = ()
        if fileset is not None:
            names = list(run.fileset_metadata)
            datasets = {n: fileset[n].metadata.label for n in names if n in fileset.root}
            if not datasets:
                raise FilesetError(
                    f"{run.path}: the fileset has no dataset of the run ({', '.join(names)}); "
                    "give the fileset that was run, with newer labels"
                )
            if missing := [name for name in names if name not in datasets]:
                notes = (f"{', '.join(missing)}: not in the fileset; the run's labels are drawn",)
        if analysis is None:
            return cls(datasets=datasets, notes=notes)
        _check_histograms(run, analysis)
        record = analysis.describe()
        peaks = {peak.name: peak.label for peak in record.fit.peaks} if record.fit else {}
        return cls(record.title, datasets, record.histograms, peaks, notes)


class LabelledRun(RunFolder):
    """Run with the numbers of another one, and with texts that figures can draw.

    Mathtext that matplotlib cannot parse is drawn literally, with a note.

    Parameters
    ----------
    run
        Run to draw; it is not changed.
    labels
        Texts that replace those of the run.

    Attributes
    ----------
    notes
        One line per text that could not be replaced or is drawn literally.
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
            label = self._labels.datasets.get(name, metadata.label)
            texts = {"label": label, "process": metadata.process}
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
        newer = self._labels.histograms.get(name, record)
        record = record.model_copy(update={key: getattr(newer, key) for key in DRAWN_FIELDS})
        texts = {
            key: self._drawn(text, f"histogram '{name}', {key}")
            for key in ("label", "unit", "variable", "n_minus_1")
            if (text := getattr(record, key))
        }
        resonances = tuple(
            ResonanceRecord(
                label=self._drawn(resonance.label, f"histogram '{name}', resonance"),
                mass=resonance.mass,
            )
            for resonance in record.resonances
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
                f"{place}: '{text}' is not valid mathtext and is drawn literally "
                "(put mathtext between two $, and write a dollar sign as \\$)"
            )
        return drawn

    def _note(self, note: str) -> None:
        line = _in_one_line(note)
        if line not in self.notes:
            self.notes.append(line)


def literal(text: str) -> str:
    r"""Return a text in one line that matplotlib can draw; invalid mathtext is drawn literally.

    >>> literal(r"$D_s \to \phi\pi$") == r"$D_s \to \phi\pi$"
    True
    >>> print(literal(r"$\foo{$"))
    \$\foo{\$
    """
    line = "".join(c if c.isprintable() else REPLACEMENT for c in _in_one_line(text))
    dollars = line.count("$") - line.count(r"\$")
    if dollars and (dollars % 2 or not _can_be_parsed(line)):
        return line.replace(r"\$", "$").replace("$", r"\$")
    return line


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


@functools.cache
def _can_be_parsed(line: str) -> bool:
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(line)
    except ValueError:
        return False
    return True


def _check_histograms(run: RunFolder, analysis: Analysis) -> None:
    """Raise a RunError if an analysis fills other histograms than a run has."""
    fills = (*analysis.histograms, *analysis.n_minus_1())
    # empty histograms lack the axis of the datasets
    declared = {h.name: [axis.edges.tolist() for axis in h.empty().axes[2:]] for h in fills}
    filled = {
        name: [axis.edges.tolist() for axis in h.axes[3:]] for name, h in run.histograms().items()
    }
    differences = {
        "are not in the run": [name for name in declared if name not in filled],
        "are only in the run": [name for name in filled if name not in declared],
        "have other bins in the run": [
            name for name, axes in filled.items() if name in declared and axes != declared[name]
        ],
    }
    faults = [
        f"{run.path}: the histograms {', '.join(names)} of analysis '{analysis.name()}' "
        f"{difference}; give the analysis that was run, or run again"
        for difference, names in differences.items()
        if names
    ]
    RunError.raise_for(faults)
