"""The metadata of a dataset, checked."""

from __future__ import annotations

import json
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bphcoffea.physics import collision_energy

#: Keys that coffea and the executors add to the metadata of a chunk.
_RESERVED: Final = {
    *("dataset", "filename", "treename", "metadata", "entrystart", "entrystop", "fileuuid"),
    *("numentries", "uuid", "clusters", "preload", "file", "replicas", "held", "file_identity"),
}

Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Efficiency = Annotated[float, Field(gt=0, le=1)]


class Metadata(BaseModel):
    """Metadata of a dataset. Only ``is_mc`` and ``era`` are required; further keys are kept.

    Attributes
    ----------
    is_mc
        True for simulation, False for data.
    era
        Data-taking era that was recorded or is simulated, such as 2017B, 2018D, 2022.
    kind
        Role in the analysis: data, signal or background.
    process
        Simulated process, by the name that the analysis uses.
    luminosity
        Integrated luminosity, fb⁻¹, before the prescale.
    prescale
        Prescale of the trigger of the data, 1 if not given. The luminosity, from the fileset or a
        luminosity table, is divided by it. Leave it out if the table was made with ``brilcalc
        --hltpath``, which already gives the luminosity of the trigger.
    cross_section
        Cross section of the simulated process, pb.
    cross_section_uncertainty
        Relative uncertainty of the cross section.
    filter_efficiency
        Efficiency of the generator's filter.
    skim_efficiency
        Weighted fraction of the generated events that skimmed files hold. Simulation is normalised
        to the sum of weights of the events read, divided by this fraction.
    processed_events
        Number of generated events; compared with the number of events in the files.
    mass
        Mass of the signal particle, GeV.
    ctau
        Mean proper decay length of the signal particle, mm.
    neutrino
        Nature of a simulated heavy neutral lepton; a Majorana particle if not given.
    label
        Name of the dataset in figures.
    energy
        Collision energy, TeV; by default the LHC's in the year of the era.
    hlt
        Trigger paths of a NanoAOD dataset; an event must have fired one of them.

    Examples
    --------
    >>> metadata = Metadata(is_mc=True, era="2018D", process="zmumu", campaign="UL")
    >>> metadata.process, metadata.year, metadata.collision_energy, metadata.campaign
    ('zmumu', '2018', 13.0, 'UL')
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    is_mc: bool
    era: Name
    kind: Literal["data", "signal", "background"] | None = None
    process: str | None = None
    luminosity: Positive | None = None
    prescale: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    cross_section: Positive | None = None
    cross_section_uncertainty: Annotated[float, Field(ge=0, lt=1)] | None = None
    filter_efficiency: Efficiency | None = None
    skim_efficiency: Efficiency | None = None
    processed_events: Annotated[int, Field(gt=0)] | None = None
    mass: Positive | None = None
    ctau: Positive | None = None
    neutrino: Literal["majorana", "dirac"] | None = None
    label: str | None = None
    energy: Positive | None = None
    hlt: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Metadata:
        for key, value in self.further.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                raise ValueError(f"'{key}' is {value!r}, which JSON cannot hold") from None
        reserved = sorted(_RESERVED & set(self.further))
        if reserved:
            raise ValueError(f"coffea reserves the names {', '.join(reserved)}: choose others")
        if self.kind is not None and (self.kind == "data") == self.is_mc:
            raise ValueError(f"kind '{self.kind}' contradicts is_mc {self.is_mc}".lower())
        if self.is_mc and self.prescale is not None:
            raise ValueError("a prescale belongs to data, whose luminosity it divides")
        return self

    @property
    def further(self) -> dict[str, object]:
        """Keys of the dataset that the program does not interpret."""
        return self.model_extra or {}

    @property
    def year(self) -> str:
        """Year of data taking, with which the era begins."""
        return self.era[:4]

    @property
    def collision_energy(self) -> float | None:
        """Collision energy, TeV; None if neither ``energy`` nor the era gives it."""
        return collision_energy(self.era, self.energy)
