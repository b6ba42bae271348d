"""Selecting single events of a run again, as the run did or with parts of another run."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa

from bphcoffea.analysis import Analysis
from bphcoffea.arrays import Numbers
from bphcoffea.corrections import Corrections, EraCorrections
from bphcoffea.differences.changes import RecordedRun
from bphcoffea.differences.matching import NUMBERS, PLACE
from bphcoffea.errors import InputError
from bphcoffea.execution import (
    EntriesOfFile,
    Plan,
    plan_of,
    read_entries,
    recorded_analysis,
    recorded_corrections,
    recorded_fileset,
)
from bphcoffea.processing import Verdict, verdicts


@dataclass(frozen=True)
class Wanted:
    """Candidates of a dataset that one run has selected, and their places in the input of another.

    Attributes
    ----------
    table
        Candidates of the run that has selected them.
    rows
        Their rows in the table.
    places
        File and entry of each in the input of the other run, by row.
    """

    table: pa.Table
    rows: Sequence[int]
    places: Mapping[int, tuple[str, int]]

    def only(self, rows: Sequence[int]) -> Wanted:
        """Return some of the candidates."""
        return replace(self, rows=rows)

    def values(self, rows: Sequence[int]) -> dict[str, Numbers]:
        """Return the columns of the analysis that are numbers, shape (rows,) each."""
        return {
            name: self.table[name].take(pa.array(rows)).to_numpy()
            for name in value_columns(self.table)
        }


def value_columns(table: pa.Table) -> list[str]:
    """Return the columns that are numbers, other than weights and the numbers of events."""
    return [
        field.name
        for field in table.schema
        if field.name not in (*NUMBERS, *PLACE)
        and not field.name.startswith(("weight", "in_"))
        and (pa.types.is_floating(field.type) or pa.types.is_integer(field.type))
    ]


class Rereader:
    """Selects events again with the analysis of a run, as it was.

    Parameters
    ----------
    run
        The run whose input is read, and whose analysis is applied.
    other
        The run with which it is compared.
    enabled
        Whether input may be read at all.

    Attributes
    ----------
    faults
        Why something could not be repeated, one line each.
    """

    def __init__(self, run: RecordedRun, other: RecordedRun, *, enabled: bool = True) -> None:
        self.run = run
        self.faults: dict[str, None] = {}
        self._other = other
        self._enabled = enabled
        self._stack = contextlib.ExitStack()
        self._analysis: Analysis | None = None
        self._corrections: Corrections | None = None
        self._plans: list[tuple[Mapping[str, Mapping[str, Any]], Plan]] = []

    def __enter__(self) -> Rereader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def select(
        self,
        wanted: Mapping[str, Wanted],
        *,
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        sections: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[tuple[str, int], Verdict]:
        """Return the verdict on each candidate that can be read, by dataset and row.

        Parameters
        ----------
        wanted
            Candidates by dataset.
        metadata
            Metadata of the datasets; by default those of the run.
        sections
            Sections of the corrections that are taken from the other run, by dataset. They must be
            the same for all datasets of an era. None: no sections.
        """
        wanted = {name: each for name, each in wanted.items() if each.rows}
        if not wanted or not self._enabled:
            return {}
        recorded = self.run.provenance["datasets"]
        found: dict[tuple[str, int], Verdict] = {}
        try:
            analysis = self._loaded()
            if sections:
                analysis = self._with_sections(analysis, sections)
            used = {name: (metadata or {}).get(name, recorded[name]) for name in wanted}
            plan = self._plan(used)
            rows_at: dict[tuple[str, str, int], list[int]] = defaultdict(list)
            for name, each in wanted.items():
                for row in each.rows:
                    rows_at[name, *each.places[row]].append(row)
            entries: dict[tuple[str, str], list[int]] = defaultdict(list)
            for name, file, entry in sorted(rows_at):
                entries[name, file].append(entry)

            def evaluate(
                events: ak.Array, of_chunk: Mapping[str, Any], places: EntriesOfFile
            ) -> list[Verdict]:
                rows = [rows_at[places.dataset, places.file, e][0] for e in places.entries.tolist()]
                known = wanted[places.dataset].values(rows)
                return verdicts(analysis, events, of_chunk, known)

            arrays = {key: np.array(numbers) for key, numbers in entries.items()}
            for places, result in read_entries(analysis, plan, arrays, evaluate):
                if isinstance(result, str):
                    self._note(result, sections)
                    continue
                for entry, verdict in zip(places.entries.tolist(), result, strict=True):
                    for row in rows_at[places.dataset, places.file, entry]:
                        found[places.dataset, row] = verdict
        except InputError as error:
            self._note(str(error).splitlines()[0], sections)
        return found

    def _note(self, why: str, sections: object) -> None:
        """Note why something could not be repeated, and what therefore remains open."""
        path, opened = self.run.folder.path, "what rejects its events is not known"
        if sections:
            opened = "its corrections and its code cannot be told apart"
        self.faults[f"{path} cannot be repeated: {why}; {opened}"] = None

    def _plan(self, used: Mapping[str, Mapping[str, Any]]) -> Plan:
        """Return the chunks of datasets with some metadata, which do not depend on corrections."""
        for known, plan in self._plans:
            if all(known.get(name) == metadata for name, metadata in used.items()):
                return plan
        plan = plan_of(self._loaded(), recorded_fileset(self.run.folder, used))
        self._plans.append((used, plan))
        return plan

    def _loaded(self) -> Analysis:
        if self._analysis is None:
            self._analysis = self._stack.enter_context(recorded_analysis(self.run.folder))
        return self._analysis

    def _with_sections(self, analysis: Analysis, sections: Mapping[str, Sequence[str]]) -> Analysis:
        """Return the analysis with sections of corrections of the other run."""
        if self._corrections is None:
            self._corrections = recorded_corrections(self._other.folder)
        eras = {}
        for dataset, names in sections.items():
            era = self.run.provenance["datasets"][dataset]["era"]
            own, other = analysis.era_corrections.for_era(era), self._corrections.for_era(era)
            template = own or other
            if template is None:
                continue
            empty = EraCorrections(template.name, template.eras, template.source, "")
            eras[template.name] = _mixed(own or empty, other or empty, names)
        unchanged = [era for era in analysis.era_corrections if era.name not in eras]
        mixed = Corrections([*unchanged, *eras.values()])
        return analysis.corrected(mixed, nominal_only=True)


def _mixed(own: EraCorrections, other: EraCorrections, names: Sequence[str]) -> EraCorrections:
    """Return corrections with some sections that select, such as ``jet_energy.Jet``, of others."""
    for section in names:
        kind, _, name = section.partition(".")
        if section == "luminosity.golden":
            own = replace(own, golden=other.golden)
        elif kind == "jet_energy":
            own = replace(own, jet_energy=_one_of(own.jet_energy, other.jet_energy, name))
        else:
            mine, theirs = (getattr(era.energies, kind) for era in (own, other))
            energies = replace(own.energies, **{kind: _one_of(mine, theirs, name)})
            own = replace(own, energies=energies)
    return own


def _one_of(own: Mapping[str, Any], other: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a mapping with one entry, or its absence, of another one."""
    rest = {key: value for key, value in own.items() if key != name}
    return {**rest, name: other[name]} if name in other else rest
