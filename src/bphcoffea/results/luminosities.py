"""Luminosity of the processed data of a run, from their luminosity sections.

Sections that a run lacks do not count. The luminosity of data taken with a prescaled trigger is the
recorded one divided by the prescale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bphcoffea.arrays import Integers
from bphcoffea.datasets import Metadata
from bphcoffea.luminosity import to_ranges
from bphcoffea.results.records import FILESET

if TYPE_CHECKING:
    from bphcoffea.corrections import Corrections
    from bphcoffea.luminosity import GoldenJson, LuminosityTable

Sections = Integers

#: Source of a luminosity in ``luminosity.json`` that is unknown.
UNCOUNTED: Final = (
    "unknown, because the number of events in the dataset is unknown, of which a part was "
    "processed; `bphcoffea fileset check FILESET -o FILESET` adds it, then run again"
)


@dataclass(frozen=True)
class Certification:
    """Certified luminosity sections and luminosity table of an era.

    Attributes
    ----------
    golden
        Certified sections; None if all sections are.
    table
        Luminosity by section; None if only the fileset gives a luminosity.
    uncertainty
        Relative uncertainty of the luminosity.
    """

    golden: GoldenJson | None = None
    table: LuminosityTable | None = None
    uncertainty: float = 0.0


def certification_of(corrections: Corrections) -> Callable[[str], Certification]:
    """Return a function from an era to its certification in the corrections of a run."""

    def of(era: str) -> Certification:
        of_era = corrections.for_era(era)
        if of_era is None:
            return Certification()
        return Certification(of_era.golden, of_era.table, of_era.luminosity_uncertainty)

    return of


@dataclass(frozen=True)
class Luminosities:
    """Luminosity of the data of a run.

    Attributes
    ----------
    datasets
        Luminosity and its source for each dataset of data, as in ``luminosity.json``.
    sections
        Certified sections of each dataset whose luminosity comes from a table.
    tables
        Table of each of these datasets.
    """

    datasets: dict[str, dict[str, Any]]
    sections: dict[str, Sections]
    tables: dict[str, LuminosityTable]

    @classmethod
    def of(
        cls,
        datasets: Mapping[str, Metadata],
        sections: Mapping[str, Sections],
        counts: Mapping[str, Mapping[str, int | None]],
        certification: Callable[[str], Certification],
    ) -> Luminosities:
        """Compute the luminosity of each dataset of data.

        Parameters
        ----------
        datasets
            Metadata by dataset.
        sections
            Processed luminosity sections by dataset: rows of run and section, shape (n, 2).
        counts
            Events of each dataset, expected and processed ones, as in ``ledger.json``.
        certification
            Function from an era to its certification.
        """
        found: dict[str, dict[str, Any]] = {}
        certified: dict[str, Sections] = {}
        tables: dict[str, LuminosityTable] = {}
        for name, metadata in datasets.items():
            if metadata.is_mc:
                continue
            known = certification(metadata.era)
            read = sections.get(name, np.empty((0, 2), dtype=np.int64))
            good = read if known.golden is None else read[known.golden.certifies(*read.T)]
            about: dict[str, Any] = {
                "sections": len(read),
                "certified": None if known.golden is None else len(good),
                "uncertainty": known.uncertainty,
                "processed": _fraction(counts.get(name, {})),
                "prescale": float(metadata.prescale or 1.0),
            }
            if known.table is not None and len(read):
                recorded = known.table.recorded(good)
                about |= {
                    "luminosity": recorded.luminosity / about["prescale"],
                    "source": str(known.table.path),
                    "not_in_table": to_ranges(recorded.unknown),
                }
                certified[name], tables[name] = good, known.table
            else:
                about |= _of_fileset(metadata, about["processed"], about["prescale"])
            found[name] = about
        return cls(found, certified, tables)

    def together(self, names: Iterable[str]) -> float | None:
        """Return the luminosity of some datasets, fb⁻¹, in which shared sections count once.

        Datasets with different prescales were taken with different triggers; sections that they
        share count once per trigger. None if the luminosity of one dataset is unknown.
        """
        total, by_trigger = 0.0, dict[tuple[str, float], list[str]]()
        for name in names:
            if name in self.tables:
                by_trigger.setdefault(self._trigger(name), []).append(name)
                continue
            luminosity = self.datasets[name]["luminosity"]
            if luminosity is None:
                return None
            total += luminosity
        for (_, prescale), sharing in by_trigger.items():
            union = np.concatenate([self.sections[name] for name in sharing])
            total += self.tables[sharing[0]].recorded(union).luminosity / prescale
        return total

    def _trigger(self, name: str) -> tuple[str, float]:
        """Return table and prescale of a dataset; datasets that agree in both share sections."""
        return self.tables[name].sha256, float(self.datasets[name]["prescale"])

    def uncertainty(self, names: Iterable[str]) -> float:
        """Return the largest relative uncertainty of the luminosities of some datasets."""
        return max((float(self.datasets[name]["uncertainty"]) for name in names), default=0.0)

    def parts(self) -> list[dict[str, Any]]:
        """Split the luminosity into parts by the datasets that share sections.

        The luminosity of some datasets is the sum of the parts that contain any of them.

        Returns
        -------
        The ``datasets`` that share sections and their ``luminosity`` (fb⁻¹; None if unknown), for
        each part. A dataset without a table is a separate part.
        """
        found: list[dict[str, Any]] = [
            {"datasets": [name], "luminosity": known["luminosity"]}
            for name, known in self.datasets.items()
            if name not in self.tables
        ]
        by_trigger: dict[tuple[str, float], dict[tuple[int, int], list[str]]] = {}
        for name, sections in self.sections.items():
            holders = by_trigger.setdefault(self._trigger(name), {})
            for run, section in np.unique(sections, axis=0).tolist():
                holders.setdefault((run, section), []).append(name)
        tables = {table.sha256: table for table in self.tables.values()}
        for (sha256, prescale), holders in by_trigger.items():
            shared: dict[tuple[str, ...], list[tuple[int, int]]] = {}
            for place, names in holders.items():
                shared.setdefault(tuple(names), []).append(place)
            for names_of_part, places in shared.items():
                recorded = tables[sha256].recorded(np.array(places, dtype=np.int64))
                luminosity = recorded.luminosity / prescale
                found.append({"datasets": list(names_of_part), "luminosity": luminosity})
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the content of ``luminosity.json``."""
        summed = [d["luminosity"] for d in self.datasets.values()]
        total = self.together(self.datasets)
        shared = total is not None and not math.isclose(total, sum(summed), rel_tol=1e-9)
        return {
            "luminosity": total,
            "sections_shared": shared,
            "datasets": self.datasets,
            "parts": self.parts(),
        }


def _fraction(counts: Mapping[str, int | None]) -> float | None:
    """Return the processed fraction of the events of a dataset; None if unknown."""
    processed, whole = counts.get("processed_events"), counts.get("dataset_events")
    if processed is None or not whole or counts.get("uncounted_files"):
        return None
    return processed / whole


def _of_fileset(metadata: Metadata, processed: float | None, prescale: float) -> dict[str, Any]:
    whole = metadata.luminosity
    if whole is None:
        return {"luminosity": None, "source": None}
    if processed is None:
        return {"luminosity": None, "source": UNCOUNTED}
    return {"luminosity": whole * processed / prescale, "source": FILESET}
