"""Samples of the search for τ → 3μ: data of two years, simulation of signal of charm and beauty."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from typing_extensions import override

from bphcoffea.toys.ds_phipi import samples as ds_phipi
from bphcoffea.toys.ds_phipi.generation import Species as DsPhiPiSpecies
from bphcoffea.toys.payloads import CORRECTIONS_TOML
from bphcoffea.toys.tau3mu.generation import TAU_MASS, Species, generate, generator_particles
from bphcoffea.toys.tau3mu.reconstruction import STEPS, reconstruct
from bphcoffea.toys.tau3mu.truth import find
from bphcoffea.toys.toy import EVENTS_PER_LUMINOSITY, PB_PER_FB, Sample
from bphcoffea.toys.tree3mu import Model, Tree3MuToy
from bphcoffea.toys.triggers import HLT_MENUS, HLT_MENUS_2018

#: Branching fraction of τ → 3μ to which the cross sections of simulation refer.
REFERENCE_BRANCHING: Final = 1e-7
#: Branching fractions [PDG] of Ds → τν, Ds → φ(μμ)π, B → τX and B → DsX, and fraction of the Ds
#: that come from b hadrons.
DS_TAU_NU, DS_PHI_PI, B_TAU, B_DS = 5.32e-2, 1.3e-5, 3.34e-2, 0.083
FROM_B: Final = 0.25
#: Factors for τ from D+ beside those from Ds, and for τ from Bs beside those from other B mesons.
WITH_DPLUS, WITH_BS = 1.04, 1.12
#: Number of τ in the data per Ds → φ(μμ)π.
TAUS_PER_DS: Final = {
    Species.TAU_D: WITH_DPLUS * DS_TAU_NU / DS_PHI_PI,
    Species.TAU_B: WITH_BS * FROM_B * B_TAU / (B_DS * DS_PHI_PI),
}
#: Ds → φ(μμ)π per inverse femtobarn, before the generator's filter of that toy.
_DS_PER_LUMINOSITY: Final = (
    ds_phipi.DATA_FRACTIONS[DsPhiPiSpecies.DS] * EVENTS_PER_LUMINOSITY / ds_phipi.FILTER_EFFICIENCY
)
#: Invented: fraction of the generated τ that pass the generator's filter.
FILTER_EFFICIENCY: Final = 0.10

#: Fraction of the data-like events of each species.
DATA_FRACTIONS: Final[dict[int, float]] = {
    Species.PHI_MUON: 0.10,
    Species.OMEGA_MUON: 0.04,
    Species.THREE_MUONS: 0.56,
    Species.NOTHING: 0.30,
}
#: Events of each sample of signal per data-like event.
_SIGNAL_SHARE: Final = 0.1


def rate(species: Species, branching: float) -> float:
    """Return the number of τ → 3μ per fb⁻¹, before the filter, for a branching fraction."""
    return _DS_PER_LUMINOSITY * TAUS_PER_DS[species] * branching


def _data(like: Sample) -> Sample:
    # runs, luminosity and files are those of Ds → φπ: the same data, with another trigger
    name = f"toy_tau3mu_{like.era[:4]}"
    return Sample(name, like.era, like.runs, like.share, like.files, like.metadata, DATA_FRACTIONS)


def _signal(species: Species, process: str, label: str, data: Sample) -> Sample:
    return Sample(
        name=f"toy_{process}_{data.era[:4]}_mc",
        era=data.era,
        runs=(1, 1),
        share=_SIGNAL_SHARE,
        files=1,
        metadata={
            "kind": "signal",
            "process": process,
            "label": label,
            "mass": TAU_MASS,
            "cross_section": rate(species, REFERENCE_BRANCHING) * PB_PER_FB,
            "filter_efficiency": FILTER_EFFICIENCY,
        },
        fractions={species: 1.0},
    )


_DATA: Final = tuple(_data(sample) for sample in ds_phipi.SAMPLES if not sample.is_mc)
#: The datasets, data first.
SAMPLES: Final = (
    *_DATA,
    *(_signal(Species.TAU_D, "tau3mu_d", "Toy τ → 3μ from D", data) for data in _DATA),
    *(_signal(Species.TAU_B, "tau3mu_b", "Toy τ → 3μ from B", data) for data in _DATA),
)


# muons of a random triplet may be harder than any in the tables of scale factors
_BEFORE_MUONS, _MUONS = CORRECTIONS_TOML.split("[muon_id]")
_CORRECTIONS_TOML: Final = f"{_BEFORE_MUONS}[muon_id]" + _MUONS.replace('"error"', '"clamp"')


@dataclass(frozen=True)
class Tau3MuToy(Tree3MuToy):
    """Toy of the search for τ → 3μ.

    Parameters
    ----------
    branching
        Branching fraction of τ → 3μ in the data: signal is added to the data-like events.
    samples
        The datasets.
    """

    branching: float = 0.0
    samples: tuple[Sample, ...] = SAMPLES

    corrections = _CORRECTIONS_TOML
    steps = STEPS
    model = Model(generate, reconstruct, lambda decays, _: generator_particles(decays), find)
    menus: ClassVar = {"2017": HLT_MENUS, "2018": HLT_MENUS_2018}

    @override
    def added(self, sample: Sample, total: int) -> Mapping[int, float]:
        if not self.branching or sample.is_mc:
            return {}
        luminosity = total / EVENTS_PER_LUMINOSITY
        return {
            species: rate(species, self.branching) * FILTER_EFFICIENCY * luminosity
            for species in TAUS_PER_DS
        }

    @override
    def injected(self, total: int) -> dict[str, object]:
        return {"branching": self.branching}
