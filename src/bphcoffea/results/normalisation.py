"""Scale of simulation to the luminosity of the processed data.

Sums of weights and luminosities are those of the processed chunks, so that both account for what a
run lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import hist

from bphcoffea.analysis import DOWN, NOMINAL, UP
from bphcoffea.datasets import Metadata
from bphcoffea.results.luminosities import Luminosities
from bphcoffea.results.records import Normalisation, Rate, Uncertainties

#: Events of a cross section of 1 pb in 1 fb⁻¹.
EVENTS_PER_PB_FB: Final = 1000.0
#: Metadata in which datasets of one process agree if they are parts of one sample.
SAMPLE: Final = ("process", "kind", "mass", "ctau", "cross_section", "filter_efficiency", "energy")
#: Rates whose uncertainty is the same for every event of a dataset.
RATES: Final[tuple[Rate, ...]] = ("luminosity", "cross_section")


def generated(metadata: Metadata, sumw: float) -> float:
    """Return the sum of weights before the generator's filter and the skim: Σw/(ε_filter·ε_skim).

    Efficiencies are fractions of it, and cross sections refer to it.

    Parameters
    ----------
    metadata
        Metadata of a simulated dataset, with the fraction of decays that passed the generator's
        filter (``filter_efficiency``) and the fraction of those in the files
        (``skim_efficiency``); both are 1 if not given.
    sumw
        Sum of the weights of all processed events.
    """
    filtered = float(metadata.filter_efficiency or 1.0)
    return sumw / (filtered * float(metadata.skim_efficiency or 1.0))


def normalise(
    datasets: Mapping[str, Metadata],
    generator_sumw: Mapping[str, float],
    counts: Mapping[str, Mapping[str, int | None]],
    luminosities: Luminosities,
    sums_of_variations: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> dict[str, Normalisation]:
    """Return the scale of each simulated dataset, by name.

    The scale is σ·ε_filter·ε_skim·L/Σw, where Σw is the sum of the generator weights of the
    processed events and L the luminosity of the data that the dataset simulates: the best-matching
    era, identical, nested, same year, else all data (with a note). Simulation of another collision
    energy than the data has no scale.

    Datasets that are parts of one sample, such as an extension, share the luminosity in proportion
    to their :func:`generated` decays, so that their sum is normalised like one dataset. They are
    parts of one sample if they simulate the same data and agree in ``process``, which must be
    given, and all other metadata of `SAMPLE`. Slices of phase space differ in cross section or
    filter efficiency, and signals in mass or lifetime: each of them has the whole luminosity.

    Parameters
    ----------
    datasets
        Metadata by dataset.
    generator_sumw
        Sum of the generator weights of the processed events, by dataset.
    counts
        Events of each dataset, expected and processed ones, as in ``ledger.json``.
    luminosities
        Luminosities of the data.
    sums_of_variations
        Sum of the weights under each variation of the generator's weights, by dataset and name,
        for the record; the histograms of these variations are normalised to it already.
    """
    assigned = _assigned(datasets)
    sharing = _sharing(assigned, datasets)
    normalisation = {}
    for name, metadata in datasets.items():
        if not metadata.is_mc:
            continue
        data = assigned.get(name, [])
        luminosity = _luminosity(name, sharing[name], datasets, generator_sumw, luminosities)
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
        elif metadata.cross_section is not None and luminosity is None and not data:
            notes.append(
                "there are no data, and no 'luminosity' in its metadata: it is not normalised"
            )
        elif metadata.cross_section is not None and luminosity is not None:
            expected = metadata.cross_section * luminosity * EVENTS_PER_PB_FB
            scale = expected / generated(metadata, sumw)
        normalisation[name] = Normalisation(
            cross_section=metadata.cross_section,
            filter_efficiency=metadata.filter_efficiency or 1.0,
            skim_efficiency=metadata.skim_efficiency or 1.0,
            luminosity=luminosity,
            generator_sumw=sumw,
            scale=scale,
            data=tuple(data),
            uncertainties=Uncertainties(
                luminosity=luminosities.uncertainty(data),
                cross_section=metadata.cross_section_uncertainty or 0.0,
            ),
            notes=tuple(notes),
            sums_of_variations=dict(sums_of_variations.get(name, {})),
        )
    return normalisation


def _sharing(
    assigned: Mapping[str, list[str]], datasets: Mapping[str, Metadata]
) -> dict[str, list[tuple[list[str], list[str]]]]:
    """Group the data of each simulated dataset by the datasets of its sample that share them.

    Returns
    -------
    Pairs by dataset: names of data, and names of the parts of the sample that simulate them,
    including the dataset. A dataset without data has one pair: no data, and the parts of the same
    era.
    """
    samples: dict[tuple[str, ...], list[str]] = {}
    for name, metadata in datasets.items():
        if metadata.is_mc:
            values = [str(getattr(metadata, key)) for key in SAMPLE]
            # datasets without a process need not be parts of one sample
            unique = name if metadata.process is None else ""
            samples.setdefault((unique, *values), []).append(name)
    sharing: dict[str, list[tuple[list[str], list[str]]]] = {}
    for alike in samples.values():
        for name in alike:
            era = datasets[name].era
            groups: dict[tuple[str, ...], list[str]] = {}
            for data in assigned.get(name, []):
                holders = tuple(other for other in alike if data in assigned.get(other, []))
                groups.setdefault(holders, []).append(data)
            without = [n for n in alike if n not in assigned and datasets[n].era == era]
            sharing[name] = [(data, list(h)) for h, data in groups.items()] or [([], without)]
    return sharing


def _luminosity(
    name: str,
    sharing: list[tuple[list[str], list[str]]],
    datasets: Mapping[str, Metadata],
    generator_sumw: Mapping[str, float],
    luminosities: Luminosities,
) -> float | None:
    """Return the luminosity that a simulated dataset represents, fb⁻¹; None if unknown."""
    total = 0.0
    for data, alike in sharing:
        luminosity = luminosities.together(data) if data else datasets[name].luminosity
        if luminosity is None:
            return None
        decays = {
            n: generated(datasets[n], generator_sumw[n]) for n in alike if generator_sumw[n] > 0
        }
        total += luminosity * (decays[name] / sum(decays.values()) if name in decays else 1.0)
    return total


def _notes(
    metadata: Metadata,
    data: list[str],
    datasets: Mapping[str, Metadata],
    counts: Mapping[str, int | None],
) -> list[str]:
    notes = []
    era = metadata.era
    alike = [datasets[name] for name in data if _same_energy(metadata, datasets[name])]
    strange = sorted({each.era for each in alike if _nearness(each.era, era) == 0})
    if strange:
        notes.append(f"simulation of {era} stands for data of {', '.join(strange)}")
    # of all files of the dataset, whatever part of them was asked for
    generated, held = metadata.processed_events, counts.get("dataset_events")
    if generated and held and generated != held and not metadata.skim_efficiency:
        notes.append(
            f"the fileset says {generated:,} processed events, its files hold {held:,}; "
            f"if they were skimmed, say so with skim_efficiency = {held / generated:.4g}"
        )
    return notes


def _wrong_energy(metadata: Metadata, data: list[str], datasets: Mapping[str, Metadata]) -> str:
    """Return a note on data of another collision energy than the simulation; empty if none."""
    energy = metadata.collision_energy
    others = {name: datasets[name].collision_energy for name in data}
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


def _assigned(datasets: Mapping[str, Metadata]) -> dict[str, list[str]]:
    """Assign to each simulated dataset its data: for each process, those of the nearest era.

    Simulation of the same collision energy as the data takes precedence over the era.
    """
    processes: dict[str, list[str]] = {}
    for name, metadata in datasets.items():
        if metadata.is_mc:
            processes.setdefault(metadata.process or name, []).append(name)
    assigned: dict[str, list[str]] = {}
    for name, metadata in datasets.items():
        if metadata.is_mc:
            continue
        for simulations in processes.values():
            near = {
                s: (
                    _same_energy(metadata, datasets[s]),
                    _nearness(metadata.era, datasets[s].era),
                )
                for s in simulations
            }
            for simulation in simulations:
                if near[simulation] == max(near.values()):
                    assigned.setdefault(simulation, []).append(name)
    return assigned


def _same_energy(metadata: Metadata, other: Metadata) -> bool:
    """Return whether two collision energies are equal, or one of them is unknown."""
    energies = metadata.collision_energy, other.collision_energy
    return None in energies or energies[0] == energies[1]


def _nearness(era: str, other: str) -> int:
    """Return 3 for equal eras, 2 if one is nested in the other, 1 for the same year, else 0."""
    if era == other:
        return 3
    if era.startswith(other) or other.startswith(era):
        return 2
    return int(era[:4] == other[:4])


def without_scale(names: Sequence[str], normalisation: Mapping[str, Normalisation]) -> str:
    """Return the message that simulated datasets cannot be scaled to the data, and what to do."""
    notes = dict.fromkeys(note for name in names for note in normalisation[name].notes)
    return (
        f"no scale for {', '.join(names)}; give a cross_section in the fileset, and the data's "
        "luminosity, there or with: bphcoffea lumi" + "".join(f"; {note}" for note in notes)
    )


def scaled(
    histograms: Mapping[str, hist.Hist],
    normalisation: Mapping[str, Normalisation],
    datasets: Mapping[str, Metadata],
) -> dict[str, hist.Hist]:
    """Return the histograms of a run with simulation scaled to the luminosity of the data.

    Parameters
    ----------
    histograms
        Histograms with the axes dataset, category, variation and the variable.
    normalisation
        Scale of each simulated dataset, none of which may be None.
    datasets
        Metadata by dataset.

    Returns
    -------
    Histograms with additional variations of the rates (``luminosityUp`` …) for which any dataset
    has an uncertainty.
    """
    rates = [
        rate for rate in RATES if any(known.uncertainty(rate) for known in normalisation.values())
    ]
    return {
        name: _scaled(histogram, normalisation, datasets, rates)
        for name, histogram in histograms.items()
    }


def _scaled(
    histogram: hist.Hist,
    normalisation: Mapping[str, Normalisation],
    datasets: Mapping[str, Metadata],
    rates: list[Rate],
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
        if not datasets[name].is_mc:
            continue
        scale = normalisation[name].scale
        if scale is None:
            raise ValueError(f"dataset '{name}' has no scale")
        for number, rate in enumerate(rates):
            relative = normalisation[name].uncertainty(rate)
            for side, sign in enumerate((1, -1)):
                place = len(known) + 2 * number + side
                filled[index, :, place] = content[index, :, nominal]
                _multiply(filled[index, :, place], 1 + sign * relative)
        _multiply(filled[index], scale)
    return total


def _multiply(view: Any, factor: float) -> None:
    view["value"] *= factor
    view["variance"] *= factor**2
