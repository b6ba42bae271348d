"""One dataset of a fileset: its files and its metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bphcoffea.physics import collision_energy

Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Efficiency = Annotated[float, Field(gt=0, le=1)]
NonNegative = Annotated[int, Field(ge=0)]
#: Era of files of which nobody has said the era.
UNKNOWN_ERA: Final = "unknown"
#: Keys that coffea's preprocessing adds to a dataset and that are not needed here.
_IGNORED = {"format", "form", "compressed_form", "did"}
#: Keys that coffea and the executors add to the metadata of a chunk.
_RESERVED: Final = {
    *("dataset", "filename", "treename", "metadata", "entrystart", "entrystop", "fileuuid"),
    *("numentries", "uuid", "clusters", "preload", "file", "replicas", "held", "file_identity"),
}


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
    subsample
        Name of the part of a simulated sample that the dataset is, which the analysis declares with
        :func:`~bphcoffea.analysis.selection.subsample`. The datasets of all parts list the same
        files.
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
    subsample: Name | None = None
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


class FileEntry(BaseModel):
    """One file of a dataset.

    Attributes
    ----------
    object_path
        Path of the tree in the file.
    num_entries
        Number of entries of the tree; None if not known.
    uuid
        UUID of the ROOT file; None if not known.
    checksum
        Checksum of the content, such as ``adler32:0123abcd``; None if not known.
    replicas
        Paths or URLs of copies of the file.
    steps
        Ranges of entries, [start, stop), that belong to the dataset; None for all entries.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    object_path: Name
    num_entries: NonNegative | None = None
    uuid: str | None = None
    checksum: Annotated[str, Field(pattern="^adler32:[0-9a-f]{8}$")] | None = None
    replicas: tuple[str, ...] = ()
    steps: tuple[tuple[NonNegative, NonNegative], ...] | None = None

    @model_validator(mode="after")
    def _check_steps(self) -> FileEntry:
        edges = [edge for step in self.steps or () for edge in step]
        if edges != sorted(edges):
            raise ValueError("steps must ascend and not overlap")
        return self


def _file_entry(value: object) -> object:
    return {"object_path": value} if isinstance(value, str) else value


class Dataset(BaseModel):
    """Files, by path or URL, and metadata of a dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: Annotated[
        dict[
            Name,
            Annotated[
                FileEntry, BeforeValidator(_file_entry, json_schema_input_type=str | FileEntry)
            ],
        ],
        Field(min_length=1),
    ]
    metadata: Metadata

    @model_validator(mode="before")
    @classmethod
    def _from_list_of_files(cls, content: object) -> object:
        if not isinstance(content, Mapping):
            return content
        content = {key: value for key, value in content.items() if key not in _IGNORED}
        paths = content.get("files")
        if isinstance(paths, list):
            tree = content.pop("treename", None)
            if tree is None:
                raise ValueError("files are a list, so 'treename' must name their tree")
            odd = [path for path in paths if not isinstance(path, str)]
            if odd:
                raise ValueError(f"the list of files holds {odd[0]!r}, which is not a path")
            repeated = [path for path, times in Counter(paths).items() if times > 1]
            if repeated:
                raise ValueError(f"'{repeated[0]}' is listed twice")
            content["files"] = dict.fromkeys(paths, tree)
        return content
