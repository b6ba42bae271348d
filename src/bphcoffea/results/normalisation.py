"""How simulation is scaled to the luminosity of the data that a run has really processed.

Sums of weights are those of the chunks that were processed: what is missing from a run is missing
from them, as from the luminosity of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import hist

from bphcoffea.analysis.histograms import NOMINAL
from bphcoffea.analysis.weights import DOWN, UP
from bphcoffea.datasets import Metadata
from bphcoffea.physics.energies import collision_energy
from bphcoffea.results.luminosities import Luminosities
from bphcoffea.results.records import Normalisation, Rate, Uncertainties

#: Picobarns times inverse femtobarns.
EVENTS_PER_PB_FB: Final = 1000.0
#: Metadata that two datasets of one process have in common if they are parts of one sample.
SAMPLE: Final = ("process", "kind", "mass", "ctau", "cross_section", "filter_efficiency", "energy")
#: Uncertainties of rates, which are the same for every event of a dataset.
RATES: Final[tuple[Rate, ...]] = ("luminosity", "cross_section")


def generated(metadata: Metadata, sumw: float) -> float:
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
    filtered = float(metadata.filter_efficiency or 1.0)
    return sumw / (filtered * float(metadata.skim_efficiency or 1.0))


def normalise(
    datasets: Mapping[str, Metadata],
    generator_sumw: Mapping[str, float],
    counts: Mapping[str, Mapping[str, int | None]],
    luminosities: Luminosities,
) -> dict[str, Normalisation]:
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
        )
    return normalisation


def _sharing(
    assigned: Mapping[str, list[str]], datasets: Mapping[str, Metadata]
) -> dict[str, list[tuple[list[str], list[str]]]]:
    """For each simulated dataset, the data it stands for, grouped by who stands for them as well.

    Returns
    -------
    Pairs of data and of the datasets that are parts of the same sample, with itself. Simulation
    without data is one pair, without data, and with simulation of the same era.
    """
    samples: dict[tuple[str, ...], list[str]] = {}
    for name, metadata in datasets.items():
        if metadata.is_mc:
            known = [str(getattr(metadata, key)) for key in SAMPLE]
            # nothing says that datasets without a process are the same
            own = name if metadata.process is None else ""
            samples.setdefault((own, *known), []).append(name)
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
    """Luminosity that a simulated dataset stands for, fb⁻¹; None if it is not known."""
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
    strange = sorted({e for known in alike if _nearness(e := known.era, era) == 0})
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
    """Say which data were taken at another collision energy than that of simulation; or nothing."""
    energy = _energy(metadata)
    others = {name: _energy(datasets[name]) for name in data}
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
    """Which data each simulated dataset stands for: of each process, those of the nearest era.

    Simulation of the collision energy of the data goes before all other.
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


def _energy(metadata: Metadata) -> float | None:
    return collision_energy(metadata.era, metadata.energy)


def _same_energy(metadata: Metadata, other: Metadata) -> bool:
    """Whether nothing says that two datasets have different collision energies."""
    energies = _energy(metadata), _energy(other)
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
    normalisation: Mapping[str, Normalisation],
    datasets: Mapping[str, Metadata],
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
