"""The base of every analysis: a processor that runs what a subclass declares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import numpy.typing as npt
from coffea.nanoevents import BaseSchema
from coffea.processor import ProcessorABC

from bphcoffea.analysis.entries import Entries
from bphcoffea.analysis.histograms import Histogram, fill
from bphcoffea.analysis.result import Columns, DatasetResult
from bphcoffea.analysis.selection import Selected, Selection
from bphcoffea.analysis.variables import Variable

#: What schemas call the numbers that identify an event, and what the candidates' table calls them.
_EVENT_NUMBERS = {
    "run": ("run", np.int64),
    "lumi": ("lumi", np.int64),
    "luminosityBlock": ("lumi", np.int64),
    "event": ("event", np.uint64),
}


class Analysis(ProcessorABC):  # type: ignore[misc]
    """An analysis declares what it selects and fills; this class does it.

    Attributes
    ----------
    schema
        How branches become collections.
    selection
        The cuts, in order.
    best
        The best candidate of an event has the smallest value of this variable among the survivors.
        None: all survivors are kept, and no table of candidates is written.
    histograms
        Distributions of the selected candidates. The N-1 distributions, of every variable with an
        axis that some cut looks at, come by themselves.
    columns
        Variables that the candidates' table holds beside run, luminosity section, event and weight.
    branches
        Branches that are needed of each file, for a schema that has no template to find that out.
    metadata
        What the analysis needs to know of a dataset, beside ``is_mc`` and ``era``.
    mass_fit
        What ``bphcoffea fit`` fits.
    sink
        Where the selected events of a chunk go, beside the result: called with the events, what
        was selected, and the result.
    """

    schema: ClassVar[type[BaseSchema]]
    selection: ClassVar[Selection]
    best: ClassVar[Variable | None] = None
    histograms: ClassVar[tuple[Histogram, ...]] = ()
    columns: ClassVar[tuple[Variable, ...]] = ()
    branches: ClassVar[tuple[str, ...]] = ()
    metadata: ClassVar[tuple[str, ...]] = ()
    mass_fit: ClassVar[Any] = None
    sink: Callable[[Any, Selected, DatasetResult], None] | None = None

    def prepare(self, events: Any) -> Any:
        """Events with the collections that the selection needs and the schema does not give."""
        return events

    def weights(self, events: Any) -> npt.NDArray[np.float64]:
        """Weight of each event, shape (events,): the generator's for simulation, else 1."""
        if events.metadata["is_mc"] and "genWeight" in events.fields:
            weights: npt.NDArray[np.float64] = ak.to_numpy(events.genWeight).astype(np.float64)
            return weights
        return np.ones(len(events), dtype=np.float64)

    def process(self, events: Any) -> dict[str, DatasetResult]:
        """Select and fill one chunk of a dataset.

        Parameters
        ----------
        events
            NanoEvents with the dataset's name and metadata.
        """
        weights = self.weights(events)
        numbers = _event_numbers(events)
        prepared = self.prepare(events)
        selected = self.selection.of(events.metadata).apply(prepared, weights)
        chosen = selected.best(self.best) if self.best else np.flatnonzero(selected.passed)
        result = DatasetResult(
            entries=Entries.of_chunk(events.metadata),
            events=len(events),
            sumw=float(np.sum(weights)),
            lumis=_luminosity_sections(numbers),
            cutflow=selected.cutflow,
            histograms=self._fill(selected, chosen),
            candidates=None if self.best is None else self._table(selected, chosen, numbers),
        )
        # a chunk has entries; what is traced has none
        if self.sink is not None and len(result.entries):
            self.sink(prepared, selected, result)
        return {events.metadata["dataset"]: result}

    def postprocess(self, accumulator: Any) -> Any:
        """Nothing is left to do once the chunks are added up."""
        return accumulator

    def n_minus_1(self) -> tuple[Histogram, ...]:
        """The N-1 histograms: one for each variable with an axis that the selection looks at."""
        return tuple(
            Histogram(f"nminus1_{variable.name}", variable, variable.axis)
            for variable in self.selection.variables()
            if variable.axis is not None
        )

    def describe(self) -> dict[str, Any]:
        """What the analysis does, for ``analysis.json``: figures and fits are made from that."""
        histograms: dict[str, Any] = {}
        for histogram in (*self.histograms, *self.n_minus_1()):
            variable = histogram.variable
            n_minus_1 = histogram.name.startswith("nminus1_")
            histograms[histogram.name] = {
                "variable": variable.name,
                "label": variable.label or variable.name,
                "unit": variable.unit,
                "log_y": histogram.log_y,
                "resonances": [
                    {"label": label, "mass": mass} for label, mass in histogram.resonances
                ],
                "n_minus_1": self.selection.cut_of(variable).name if n_minus_1 else None,
                "bounds": list(self.selection.bounds(variable)) if n_minus_1 else [],
            }
        return {
            "name": self.name(),
            "title": (type(self).__doc__ or self.name()).strip().splitlines()[0].rstrip("."),
            "collection": self.selection.collection,
            "cuts": [
                {"name": cut.name, "requirements": [str(r) for r in cut.requirements]}
                for cut in self.selection
            ],
            "best": self.best.name if self.best else None,
            "histograms": histograms,
            "fit": self.mass_fit.model_dump(mode="json") if self.mass_fit else None,
        }

    def name(self) -> str:
        """Name of the analysis: that of its file, or of its class where a notebook defines it."""
        module = type(self).__module__.rpartition(".")[2]
        return type(self).__name__ if module == "__main__" else module

    def _fill(self, selected: Selected, chosen: npt.NDArray[np.int64]) -> dict[str, Any]:
        weights = selected.weights[selected.candidates.event]
        filled = {}
        for histogram in self.histograms:
            values = selected.candidates.values(histogram.variable)
            filled[histogram.name] = histogram.empty()
            fill(filled[histogram.name], values[chosen], weights[chosen])
        for histogram in self.n_minus_1():
            filled[histogram.name] = histogram.empty()
            if any(histogram.variable is v for v in selected.selection.variables()):
                others = selected.without(histogram.variable)
                values = selected.candidates.values(histogram.variable)
                fill(filled[histogram.name], values[others], weights[others])
        return filled

    def _table(
        self,
        selected: Selected,
        chosen: npt.NDArray[np.int64],
        numbers: dict[str, npt.NDArray[Any]],
    ) -> Columns:
        event = selected.candidates.event[chosen]
        columns = {name: values[event] for name, values in numbers.items()}
        for variable in self.columns:
            columns[variable.name] = selected.candidates.values(variable)[chosen]
        columns["weight"] = selected.weights[event]
        return Columns(columns)


def _event_numbers(events: Any) -> dict[str, npt.NDArray[Any]]:
    return {
        name: ak.to_numpy(events[field]).astype(dtype)
        for field, (name, dtype) in _EVENT_NUMBERS.items()
        if field in events.fields
    }


def _luminosity_sections(numbers: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    if not {"run", "lumi"} <= set(numbers):
        return np.empty((0, 2), dtype=np.int64)
    # one number each, since numpy sorts rows slowly
    packed = np.unique(numbers["run"] << 32 | numbers["lumi"])
    return np.stack([packed >> 32, packed & 0xFFFFFFFF], axis=1)
