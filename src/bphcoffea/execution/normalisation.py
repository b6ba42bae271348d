"""How much data a run has really processed, and how simulation is scaled to that.

Luminosities are those of the luminosity sections that were read; sums of weights are those of the
chunks that were processed. What is missing from a run is missing from both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import hist
import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.histograms import NOMINAL
from bphcoffea.analysis.weights import DOWN, UP
from bphcoffea.corrections import Corrections
from bphcoffea.luminosity import GoldenJson, LuminosityTable, to_ranges
from bphcoffea.physics.energies import collision_energy

Sections = npt.NDArray[np.int64]
Metadata = Mapping[str, Mapping[str, Any]]

#: Picobarns times inverse femtobarns.
EVENTS_PER_PB_FB: Final = 1000.0
#: Sources of a luminosity, in ``luminosity.json``, beside the path of a table.
FILESET: Final = "fileset"
UNCOUNTED: Final = (
    "unknown: it is not known how many events the dataset has, of which a part was processed; "
    "`bphcoffea fileset check FILESET -o FILESET` writes that down, then run again"
)
#: Metadata that two datasets of one process have in common if they are parts of one sample.
SAMPLE: Final = ("process", "kind", "mass", "ctau", "cross_section", "filter_efficiency", "energy")
#: Uncertainties of rates, which are the same for every event of a dataset.
RATES: Final = ("luminosity", "cross_section")


@dataclass(frozen=True)
class Certification:
    """What is known of the luminosity of an era.

    Attributes
    ----------
    golden
        Certified sections; None for all.
    table
        Luminosity by section; None where only the fileset tells it.
    uncertainty
        Relative.
    """

    golden: GoldenJson | None = None
    table: LuminosityTable | None = None
    uncertainty: float = 0.0


def certification_of(corrections: Corrections) -> Callable[[str], Certification]:
    """From an era to its certification, as the corrections of a run tell it."""

    def of(era: str) -> Certification:
        known = corrections.of(era)
        if known is None:
            return Certification()
        return Certification(known.golden, known.table, known.luminosity_uncertainty)

    return of


@dataclass(frozen=True)
class Luminosities:
    """Luminosity of the data of a run.

    Attributes
    ----------
    datasets
        What is known of each data dataset, as in ``luminosity.json``.
    sections
        Certified sections of each, for those whose luminosity is that of sections.
    tables
        Where that is looked up.
    """

    datasets: dict[str, dict[str, Any]]
    sections: dict[str, Sections]
    tables: dict[str, LuminosityTable]

    @classmethod
    def of(
        cls,
        datasets: Metadata,
        sections: Mapping[str, Sections],
        counts: Mapping[str, Mapping[str, int | None]],
        certification: Callable[[str], Certification],
    ) -> Luminosities:
        """Find them.

        Parameters
        ----------
        datasets
            Metadata by dataset.
        sections
            The luminosity sections that were read, by data dataset: rows of run and section.
        counts
            Events of each dataset, and those expected and processed, as in ``ledger.json``.
        certification
            From an era to what is known of it.
        """
        found: dict[str, dict[str, Any]] = {}
        certified: dict[str, Sections] = {}
        tables: dict[str, LuminosityTable] = {}
        for name, metadata in datasets.items():
            if metadata["is_mc"]:
                continue
            known = certification(str(metadata["era"]))
            read = sections.get(name, np.empty((0, 2), dtype=np.int64))
            good = read if known.golden is None else read[known.golden.certifies(*read.T)]
            about: dict[str, Any] = {
                "sections": len(read),
                "certified": None if known.golden is None else len(good),
                "uncertainty": known.uncertainty,
                "processed": _fraction(counts.get(name, {})),
            }
            if known.table is not None and len(read):
                recorded = known.table.recorded(good)
                about |= {
                    "luminosity": recorded.luminosity,
                    "source": str(known.table.path),
                    "not_in_table": to_ranges(recorded.unknown),
                }
                certified[name], tables[name] = good, known.table
            else:
                about |= _of_fileset(metadata, about["processed"])
            found[name] = about
        return cls(found, certified, tables)

    def together(self, names: Iterable[str]) -> float | None:
        """Luminosity of some datasets, fb⁻¹; sections that several of them hold count once.

        None where that of one is not known.
        """
        total, by_table = 0.0, dict[str, list[str]]()
        for name in names:
            if name in self.tables:
                by_table.setdefault(self.tables[name].sha256, []).append(name)
                continue
            own = self.datasets[name]["luminosity"]
            if own is None:
                return None
            total += own
        for sharing in by_table.values():
            union = np.concatenate([self.sections[name] for name in sharing])
            total += self.tables[sharing[0]].recorded(union).luminosity
        return total

    def uncertainty(self, names: Iterable[str]) -> float:
        """Relative uncertainty of the luminosity of datasets: the largest of theirs."""
        return max((float(self.datasets[name]["uncertainty"]) for name in names), default=0.0)

    def parts(self) -> list[dict[str, Any]]:
        """Split the luminosity by the datasets that hold its sections.

        The luminosity of any datasets is the sum of the parts that one of them holds: sections that
        several of them hold count once.

        Returns
        -------
        For each set of datasets that share sections, ``datasets`` and ``luminosity`` (fb⁻¹; None if
        unknown). A dataset without a table is a part of its own.
        """
        found: list[dict[str, Any]] = [
            {"datasets": [name], "luminosity": known["luminosity"]}
            for name, known in self.datasets.items()
            if name not in self.tables
        ]
        by_table: dict[str, dict[tuple[int, int], list[str]]] = {}
        for name, sections in self.sections.items():
            holders = by_table.setdefault(self.tables[name].sha256, {})
            for run, section in np.unique(sections, axis=0).tolist():
                holders.setdefault((run, section), []).append(name)
        tables = {table.sha256: table for table in self.tables.values()}
        for sha256, holders in by_table.items():
            shared: dict[tuple[str, ...], list[tuple[int, int]]] = {}
            for place, names in holders.items():
                shared.setdefault(tuple(names), []).append(place)
            for names_of_part, places in shared.items():
                recorded = tables[sha256].recorded(np.array(places, dtype=np.int64))
                found.append({"datasets": list(names_of_part), "luminosity": recorded.luminosity})
        return found

    def as_json(self) -> dict[str, Any]:
        """As it stands in ``luminosity.json``."""
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
    """Part of a dataset's events that was processed; None if it is not known how many it has."""
    processed, whole = counts.get("processed_events"), counts.get("dataset_events")
    if processed is None or not whole or counts.get("uncounted_files"):
        return None
    return processed / whole


def _of_fileset(metadata: Mapping[str, Any], processed: float | None) -> dict[str, Any]:
    whole = metadata.get("luminosity")
    if whole is None:
        return {"luminosity": None, "source": None}
    if processed is None:
        return {"luminosity": None, "source": UNCOUNTED}
    return {"luminosity": float(whole) * processed, "source": FILESET}


def generated(metadata: Mapping[str, Any], sumw: float) -> float:
    """Return how many decays, in units of their weights, a sum of weights stands for.

    Parameters
    ----------
    metadata
        Of a simulated dataset. ``filter_efficiency`` is the part of all decays that passed the
        filter of the generator, ``skim_efficiency`` the part of those that the files hold; each is
        1 where it is not given.
    sumw
        Sum of the weights of all events that were read.

    Returns
    -------
    Σw/(ε_filter·ε_skim): decays before the filter and before the skim, of which efficiencies are
    parts, and to which cross sections refer.
    """
    filtered = float(metadata.get("filter_efficiency") or 1.0)
    return sumw / (filtered * float(metadata.get("skim_efficiency") or 1.0))


def normalise(
    datasets: Metadata,
    generator_sumw: Mapping[str, float],
    counts: Mapping[str, Mapping[str, int | None]],
    luminosities: Luminosities,
) -> dict[str, dict[str, Any]]:
    """How each simulated dataset is scaled: the content of ``normalisation.json``.

    The scale is σ·ε_filter·ε_skim·L/Σw, where Σw is the sum of the generator's weights of what was
    processed, and L the luminosity of the data that the dataset simulates. There is none for
    simulation of another collision energy than that of its data.

    Datasets that are parts of one sample, such as an extension, share the luminosity in proportion
    to the decays that they stand for (`generated`), so that their sum is normalised as one dataset
    would be. They are parts of one sample if they stand for the same data and agree in the
    ``process`` (which must be given) and all other metadata of `SAMPLE`. Slices of a phase space
    differ in cross section or filter efficiency, signals in mass or lifetime: each has the whole
    luminosity.

    Parameters
    ----------
    datasets
        Metadata by dataset.
    generator_sumw
        Sum of the generator's weights of what was processed, by dataset.
    counts
        Events of each dataset, and those expected and processed, as in ``ledger.json``.
    luminosities
        Of the data.
    """
    assigned = _assigned(datasets)
    sharing = _sharing(assigned, datasets)
    normalisation = {}
    for name, metadata in datasets.items():
        if not metadata["is_mc"]:
            continue
        data = assigned.get(name, [])
        luminosity = _luminosity(name, sharing[name], datasets, generator_sumw, luminosities)
        parts: dict[str, Any] = {
            "cross_section": metadata.get("cross_section"),
            "filter_efficiency": metadata.get("filter_efficiency") or 1.0,
            "skim_efficiency": metadata.get("skim_efficiency") or 1.0,
            "luminosity": luminosity,
        }
        notes = _notes(metadata, data, datasets, counts.get(name, {}))
        others = sorted({other for _, alike in sharing[name] for other in alike} - {name})
        if others:
            notes.append(
                f"shares the luminosity with {', '.join(others)}, in proportion to the decays "
                "generated: parts of one sample"
            )
        sumw = generator_sumw[name]
        wrong_energy = _wrong_energy(metadata, data, datasets)
        scale = None
        if sumw <= 0:
            notes.append(f"the sum of generator weights is {sumw:g}: it can't be normalised")
        elif wrong_energy:
            notes.append(wrong_energy)
        elif None not in parts.values():
            scale = math.prod(parts.values()) * EVENTS_PER_PB_FB / sumw
        normalisation[name] = {
            **parts,
            "generator_sumw": sumw,
            "scale": scale,
            "data": data,
            "uncertainties": {
                "luminosity": luminosities.uncertainty(data),
                "cross_section": metadata.get("cross_section_uncertainty") or 0.0,
            },
            "notes": notes,
        }
    return normalisation


def _sharing(
    assigned: Mapping[str, list[str]], datasets: Metadata
) -> dict[str, list[tuple[list[str], list[str]]]]:
    """For each simulated dataset, the data it stands for, grouped by who stands for them as well.

    Returns
    -------
    Pairs of data and of the datasets that are parts of the same sample, with itself. Simulation
    without data is one pair, without data, and with simulation of the same era.
    """
    samples: dict[tuple[str, ...], list[str]] = {}
    for name, metadata in datasets.items():
        if metadata["is_mc"]:
            known = [str(metadata.get(key)) for key in SAMPLE]
            # nothing says that datasets without a process are the same
            own = name if metadata.get("process") is None else ""
            samples.setdefault((own, *known), []).append(name)
    sharing: dict[str, list[tuple[list[str], list[str]]]] = {}
    for alike in samples.values():
        for name in alike:
            era = datasets[name]["era"]
            groups: dict[tuple[str, ...], list[str]] = {}
            for data in assigned.get(name, []):
                holders = tuple(other for other in alike if data in assigned.get(other, []))
                groups.setdefault(holders, []).append(data)
            without = [n for n in alike if n not in assigned and datasets[n]["era"] == era]
            sharing[name] = [(data, list(h)) for h, data in groups.items()] or [([], without)]
    return sharing


def _luminosity(
    name: str,
    sharing: list[tuple[list[str], list[str]]],
    datasets: Metadata,
    generator_sumw: Mapping[str, float],
    luminosities: Luminosities,
) -> float | None:
    """Luminosity that a simulated dataset stands for, fb⁻¹; None if it is not known."""
    total = 0.0
    for data, alike in sharing:
        luminosity = luminosities.together(data) if data else datasets[name].get("luminosity")
        if luminosity is None:
            return None
        decays = {
            n: generated(datasets[n], generator_sumw[n]) for n in alike if generator_sumw[n] > 0
        }
        total += luminosity * (decays[name] / sum(decays.values()) if name in decays else 1.0)
    return total


def _notes(
    metadata: Mapping[str, Any],
    data: list[str],
    datasets: Metadata,
    counts: Mapping[str, int | None],
) -> list[str]:
    notes = []
    era = str(metadata["era"])
    alike = [datasets[name] for name in data if _same_energy(metadata, datasets[name])]
    strange = sorted({e for known in alike if _nearness(e := str(known["era"]), era) == 0})
    if strange:
        notes.append(f"simulation of {era} stands for data of {', '.join(strange)}")
    # of all files of the dataset, whatever part of them was asked for
    generated, held = metadata.get("processed_events"), counts.get("dataset_events")
    if generated and held and generated != held and not metadata.get("skim_efficiency"):
        notes.append(
            f"the fileset says {generated:,} processed events, its files hold {held:,}; "
            f"if they were skimmed, say so with skim_efficiency = {held / generated:.4g}"
        )
    return notes


def _wrong_energy(metadata: Mapping[str, Any], data: list[str], datasets: Metadata) -> str:
    """Say which data were taken at another collision energy than that of simulation; or nothing."""
    energy = collision_energy(metadata)
    others = {name: collision_energy(datasets[name]) for name in data}
    other = {name: value for name, value in others.items() if None not in (energy, value)}
    other = {name: value for name, value in other.items() if value != energy}
    if not other:
        return ""
    energies = ", ".join(f"{value:g}" for value in sorted({v for v in other.values() if v}))
    return (
        f"simulation of {energy:g} TeV does not stand for data of {energies} TeV "
        f"({', '.join(other)}): no scale; process them in runs of their own, or set 'energy' "
        "in the metadata where the era's year misleads"
    )


def _assigned(datasets: Metadata) -> dict[str, list[str]]:
    """Which data each simulated dataset stands for: of each process, those of the nearest era.

    Simulation of the collision energy of the data goes before all other.
    """
    processes: dict[str, list[str]] = {}
    for name, metadata in datasets.items():
        if metadata["is_mc"]:
            processes.setdefault(str(metadata.get("process") or name), []).append(name)
    assigned: dict[str, list[str]] = {}
    for name, metadata in datasets.items():
        if metadata["is_mc"]:
            continue
        for simulations in processes.values():
            near = {
                s: (
                    _same_energy(metadata, datasets[s]),
                    _nearness(str(metadata["era"]), str(datasets[s]["era"])),
                )
                for s in simulations
            }
            for simulation in simulations:
                if near[simulation] == max(near.values()):
                    assigned.setdefault(simulation, []).append(name)
    return assigned


def _same_energy(metadata: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether nothing says that two datasets have different collision energies."""
    energies = collision_energy(metadata), collision_energy(other)
    return None in energies or energies[0] == energies[1]


def _nearness(era: str, other: str) -> int:
    """3 for the same era, 2 for one within the other, 1 for the same year, else 0."""
    if era == other:
        return 3
    if era.startswith(other) or other.startswith(era):
        return 2
    return int(era[:4] == other[:4])


def scaled(
    histograms: Mapping[str, hist.Hist],
    normalisation: Mapping[str, Mapping[str, Any]],
    datasets: Metadata,
) -> dict[str, hist.Hist]:
    """Histograms of a run with simulation scaled to the luminosity of the data.

    Parameters
    ----------
    histograms
        With axes dataset, category, variation and that of the variable.
    normalisation
        As in ``normalisation.json``; all simulated datasets must have a scale.
    datasets
        Metadata by dataset.

    Returns
    -------
    The same with more variations: those of the rates, ``luminosityUp`` and so on, where any dataset
    has such an uncertainty.
    """
    rates = [
        rate
        for rate in RATES
        if any(known["uncertainties"][rate] for known in normalisation.values())
    ]
    return {
        name: _scaled(histogram, normalisation, datasets, rates)
        for name, histogram in histograms.items()
    }


def _scaled(
    histogram: hist.Hist,
    normalisation: Mapping[str, Mapping[str, Any]],
    datasets: Metadata,
    rates: list[str],
) -> hist.Hist:
    dataset, category, variation, *others = histogram.axes
    known = list(variation)
    names = known + [f"{rate}{side}" for rate in rates for side in (UP, DOWN)]
    total = hist.Hist(
        dataset,
        category,
        hist.axis.StrCategory(names, name=variation.name),
        *others,
        storage=histogram.storage_type(),
    )
    content, filled = histogram.view(flow=True), total.view(flow=True)
    filled[:, :, : len(known)] = content[:, :, : len(known)]
    nominal = known.index(NOMINAL)
    for index, name in enumerate(dataset):
        if not datasets[name]["is_mc"]:
            continue
        scale = float(normalisation[name]["scale"])
        for number, rate in enumerate(rates):
            relative = float(normalisation[name]["uncertainties"][rate])
            for side, sign in enumerate((1, -1)):
                place = len(known) + 2 * number + side
                filled[index, :, place] = content[index, :, nominal]
                _multiply(filled[index, :, place], 1 + sign * relative)
        _multiply(filled[index], scale)
    return total


def _multiply(view: Any, factor: float) -> None:
    view["value"] *= factor
    view["variance"] *= factor**2
