"""Samples of the toy: parked data of 2018, and simulation of signal at six points.

Data hold random combinations alone, or these and injected signal. Simulation differs from data in
its pile-up only: its payloads exercise the weights, and applying them does not reproduce the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from typing_extensions import override

from bphcoffea.toys.files import Branches
from bphcoffea.toys.hnl.decays import (
    Decays,
    background_decays,
    mean_proper_length,
    signal_decays,
)
from bphcoffea.toys.hnl.reconstruction import Events, simulate
from bphcoffea.toys.hnl.truth import HnlTruth, find
from bphcoffea.toys.luminosity import EventNumbers
from bphcoffea.toys.payloads import CORRECTIONS_TOML
from bphcoffea.toys.toy import Sample, Toy, split

ERA: Final = "2018D"
#: Invented: cross section times cτ, pb mm, by mass in GeV. Both the rate and the inverse of the
#: lifetime are proportional to |V|².
_CROSS_SECTION: Final = {1.0: 880.0, 1.5: 38.0}
#: Mean proper decay lengths, mm.
_CTAU: Final = (10.0, 100.0, 1000.0)
#: Invented: fraction of the generated Ds within the spectrum from which the toy draws.
IN_SPECTRUM: Final = 0.1
#: Fraction of the decays drawn that pass the generator's filter, by mass in GeV: of 5·10⁶ decays
#: each, by :func:`.filter_efficiency`.
FILTER_EFFICIENCY: Final = {1.0: 0.1336, 1.5: 0.1013}

#: Corrections with soft muons, and a trigger on one of them.
_CORRECTIONS_TOML: Final = CORRECTIONS_TOML.replace("NUM_LooseID", "NUM_SoftID").replace(
    "[momentum.muon]",
    """[trigger.data]
file = "trigger.json.gz"
name = "efficiency_data"
out_of_range = "clamp"

[trigger.simulation]
file = "trigger.json.gz"
name = "efficiency_simulation"
out_of_range = "clamp"

[momentum.muon]""",
)


@dataclass(frozen=True)
class Injection:
    """Signal in the data.

    Attributes
    ----------
    mass
        Mass of the heavy neutral lepton, GeV.
    mixing
        |V|², from which its lifetime follows.
    decays
        Number of decays that pass the generator's filter, in addition to the data-like events;
        whether they are reconstructed is left to chance.
    decays_per_event
        Number of further such decays per data-like event.
    majorana
        Whether it is a Majorana particle rather than a Dirac particle.
    """

    mass: float
    mixing: float
    decays: int = 0
    decays_per_event: float = 0.0
    majorana: bool = True

    @property
    def ctau(self) -> float:
        """Mean proper decay length, mm."""
        return mean_proper_length(self.mass, self.mixing, majorana=self.majorana)

    def number(self, events: int) -> int:
        """Return the number of decays in a toy of that many data-like events."""
        return self.decays + round(self.decays_per_event * events)

    def as_json(self, events: int) -> dict[str, object]:
        """Return the numbers for ``truth.json``, for a toy of that many data-like events."""
        return {
            "mass": self.mass,
            "mixing": self.mixing,
            "ctau": self.ctau,
            "decays": self.number(events),
            "neutrino": "majorana" if self.majorana else "dirac",
        }


def _signal(mass: float, ctau: float) -> Sample:
    point = f"mN{mass}".replace(".", "p")
    return Sample(
        name=f"DsToNMu_NToMuPi_{point}_ctau{ctau:.0f}p0mm_incl",
        era=ERA,
        runs=(1, 1),
        share=0.1,
        files=1,
        metadata={
            "kind": "signal",
            "process": "hnl",
            "label": f"Toy N, {mass:g} GeV, {ctau:g} mm",
            "mass": mass,
            "ctau": ctau,
            "neutrino": "majorana",
            "cross_section": _CROSS_SECTION[mass] / ctau,
            "filter_efficiency": round(IN_SPECTRUM * FILTER_EFFICIENCY[mass], 6),
        },
    )


_DATA: Final = {"kind": "data", "process": "data", "label": "Toy data"}
#: The datasets, data first.
SAMPLES: Final = (
    Sample("hnl_data_2018D", ERA, (320_500, 325_175), 1.0, 4, _DATA),
    *(_signal(mass, ctau) for mass in _CROSS_SECTION for ctau in _CTAU),
)


@dataclass(frozen=True)
class HnlToy(Toy[Decays, Events]):
    """Toy of the search for Ds → μN, N → μπ.

    Parameters
    ----------
    injection
        Signal to put into the data; None for no signal.
    samples
        The datasets.
    """

    injection: Injection | None = None
    samples: tuple[Sample, ...] = SAMPLES

    tree = "wztree"
    corrections = _CORRECTIONS_TOML

    @override
    def draw(self, sample: Sample, total: int, part: int, rng: np.random.Generator) -> Decays:
        n = split(total, sample.files)[part]
        if sample.is_mc:
            mass, ctau = (float(sample.metadata[name]) for name in ("mass", "ctau"))
            return signal_decays(n, mass, ctau, rng)
        decays = background_decays(n, rng)
        if self.injection is None:
            return decays
        added = split(self.injection.number(total), sample.files)[part]
        decays += signal_decays(
            added, self.injection.mass, self.injection.ctau, rng, majorana=self.injection.majorana
        )
        return decays[rng.permutation(len(decays))]

    @override
    def simulate(self, contents: Decays, sample: Sample, rng: np.random.Generator) -> Events:
        return simulate(contents, sample.is_mc, rng)

    @override
    def find(self, events: Events, sample: Sample) -> HnlTruth:
        return find(events, is_signal=sample.is_mc)

    @override
    def injected(self, total: int) -> dict[str, object]:
        return {} if self.injection is None else {"injected": self.injection.as_json(total)}

    @override
    def number_branches(self, numbers: EventNumbers) -> Branches:
        return {
            "run": numbers["run"].astype(np.int32),
            "lumi": numbers["lumi"].astype(np.float32),
            "event": numbers["evt"].view(np.int32),  # half of them are negative, as in the ntuple
        }
