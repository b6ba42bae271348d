"""Energy corrections of a collection of jets, evaluated by coffea's ``jetmet_tools``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

import awkward as ak
import correctionlib

from bphcoffea.corrections.correction_set import CorrectionSet, read_correction_set
from bphcoffea.corrections.declaration import RESOLUTION, JetEnergySection
from bphcoffea.corrections.section import era_ending
from bphcoffea.errors import CorrectionsError

#: Function from the name of an input to its values, shape (jets,).
Inputs: TypeAlias = Callable[[str], ak.Array]
#: Inputs that corrections of jets may have, in the names of CMS's files.
INPUT_NAMES: Final = ("JetPt", "JetEta", "JetPhi", "JetA", "Rho", "run")
#: Input of scale factors that selects the nominal value, up or down.
_SYSTEMATIC: Final = "systematic"


class JetEnergyPayload:
    """Corrections of the energies of jets; it can be pickled.

    Parameters
    ----------
    folder
        Folder of the TOML.
    section
        Names of the corrections.
    era
        Name of the era, with which names of decorrelated uncertainties end.

    Attributes
    ----------
    uncertainties
        Sources of uncertainty of the energy scale, and ``jer`` for the resolution, by the name that
        variations begin with.
    smears
        Whether the energies of simulated jets are smeared.

    Raises
    ------
    CorrectionsError
        If a file is missing or wrong, lacks a correction, or one has an unknown input.
    """

    def __init__(self, folder: Path, section: JetEnergySection, era: str) -> None:
        self._section = section
        self.smears = section.resolution is not None
        names = {RESOLUTION: RESOLUTION} if self.smears else {}
        names |= {source: f"jes_{source}" for source in section.sources}
        self.uncertainties = {
            name + era_ending(era, decorrelated=source in section.decorrelated): source
            for source, name in names.items()
        }
        path = folder / section.file
        content = read_correction_set(path)
        self.files = {str(path.absolute()): content.sha256}
        self._scale = _subset(
            path, content, {"simulation": section.simulation, "data": section.data}, section.sources
        )
        self._resolution = ""
        if section.resolution is not None and section.scale_factor is not None:
            if section.resolution_file is not None:
                path = folder / section.resolution_file
                content = read_correction_set(path)
                self.files[str(path.absolute())] = content.sha256
            self._resolution = _subset(
                path, content, {}, {"PtResolution": section.resolution, "SF": section.scale_factor}
            )

        try:
            _ = self._compiled
        except RuntimeError as error:
            raise CorrectionsError(
                f"{path}: correctionlib cannot read a correction of jets ({error})"
            ) from None

    def recalibrates(self, *, is_mc: bool) -> bool:
        """Return whether the energies of the file are replaced."""
        return (self._section.simulation if is_mc else self._section.data) is not None

    def correction(self, inputs: Inputs, *, is_mc: bool) -> ak.Array:
        """Return the factor to the uncorrected energy of each jet, shape (jets,).

        Parameters
        ----------
        inputs
            Values of each input, shape (jets,); ``JetPt`` is the uncorrected momentum.
        is_mc
            Whether the jets are simulated.
        """
        # imports numba and scipy.stats, a second for all interpreters that correct no jets
        from coffea.jetmet_tools import CorrectionLibJEC

        names = self._section.simulation if is_mc else self._section.data
        name = ("simulation" if is_mc else "data") if isinstance(names, tuple) else names
        scale = self._compiled[0]
        return _evaluated(
            CorrectionLibJEC(scale.compound[name] if name in scale.compound else scale[name]),
            "getCorrection",
            inputs,
        )

    def smearing(
        self, inputs: Inputs, pt_gen: ak.Array, noise: ak.Array, variation: int
    ) -> ak.Array:
        """Return the factor that smears each jet by the hybrid method, shape (jets,).

        Parameters
        ----------
        inputs
            Values of each input, shape (jets,); ``JetPt`` is the corrected momentum.
        pt_gen
            Transverse momentum of the generated jet, GeV, shape (jets,); 0 without one.
        noise
            Normally distributed random numbers, shape (jets,).
        variation
            0 for the nominal scale factor, 1 for up, 2 for down.
        """
        from coffea.jetmet_tools import CorrectionLibJER, CorrectionLibJERSF
        from coffea.jetmet_tools.CorrectedJetsFactory import jer_smear

        corrections = self._compiled[1]
        return jer_smear(
            pt_gen,
            inputs("JetPt"),
            inputs("JetEta"),
            _evaluated(
                CorrectionLibJER(corrections[self._section.resolution]), "getResolution", inputs
            ),
            noise,
            _evaluated(
                CorrectionLibJERSF(corrections[self._section.scale_factor]),
                "getScaleFactor",
                inputs,
            ),
            variation,
            forceStochastic=False,
        )

    def uncertainty(self, source: str, inputs: Inputs) -> ak.Array:
        """Return the factors for up and down of a source, shape (jets, 2)."""
        from coffea.jetmet_tools import CorrectionLibJUNC

        correction = self._compiled[0][self._section.sources[source]]
        ((_, factors),) = _evaluated(
            CorrectionLibJUNC([(source, correction)]), "getUncertainty", inputs
        )
        return factors

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        return {**self._section.model_dump(mode="json"), "sha256": dict(self.files)}

    def __getstate__(self) -> dict[str, object]:
        # what correctionlib compiled cannot be pickled, and is compiled again when needed
        return {name: value for name, value in vars(self).items() if name != "_compiled"}

    @cached_property
    def _compiled(self) -> list[Any]:
        """Corrections of the scale, and of the resolution if there is one."""
        texts = (text for text in (self._scale, self._resolution) if text)
        return [correctionlib.CorrectionSet.from_string(text) for text in texts]


def _evaluated(adapter: Any, method: str, inputs: Inputs) -> Any:
    """Return what a method of one of coffea's adapters gives for the inputs that it asks for."""
    values = {name: inputs(name) for name in adapter.signature}
    try:
        return getattr(adapter, method)(**values)
    except (IndexError, RuntimeError) as error:
        ranges = [f"{name} in [{ak.min(v)}, {ak.max(v)}]" for name, v in values.items()]
        raise CorrectionsError(
            f"correctionlib cannot evaluate a correction of jets at {', '.join(ranges)} ({error})"
        ) from None


def _subset(
    path: Path,
    content: CorrectionSet,
    levels: Mapping[str, str | tuple[str, ...] | None],
    single: Mapping[str, str],
) -> str:
    """Return a correctionlib file with only the corrections that are used.

    Levels in a list are multiplied, each at the momentum after those before it, as the compound
    corrections of CMS are.
    """
    compounds: dict[str, dict[str, Any]] = {}
    needed = dict.fromkeys(single.values())
    for key, names in levels.items():
        if isinstance(names, str) and names in content.compound:
            compounds[names] = json.loads(content.compound[names])
            needed |= dict.fromkeys(compounds[names]["stack"])
        elif names is not None:
            needed |= dict.fromkeys([names] if isinstance(names, str) else names)
            if not isinstance(names, str):
                compounds[key] = {"stack": list(names)}
    _require(path, content, needed)
    inputs = {}
    for name in needed:
        inputs[name] = json.loads(content.corrections[name])["inputs"]
        unknown = {i["name"] for i in inputs[name]} - {*INPUT_NAMES, _SYSTEMATIC}
        if unknown:
            raise CorrectionsError(
                f"{path}: '{name}' has the input {', '.join(sorted(unknown))}; corrections of jets "
                f"may have {', '.join(INPUT_NAMES)}"
            )
    for key, compound in compounds.items():
        if "name" not in compound:
            of_levels = {i["name"]: i for name in compound["stack"] for i in inputs[name]}
            operators = {"inputs_update": ["JetPt"], "input_op": "*", "output_op": "*"}
            output = {"name": "correction", "type": "real"}
            compound |= {"name": key, "inputs": list(of_levels.values()), "output": output}
            compound |= operators
    corrections = ",".join(content.corrections[name] for name in needed)
    return (
        f'{{"schema_version": 2, "corrections": [{corrections}], '
        f'"compound_corrections": {json.dumps(list(compounds.values()))}}}'
    )


def _require(path: Path, content: CorrectionSet, names: Iterable[str]) -> None:
    missing = [name for name in names if name not in content.corrections]
    if missing:
        there = ", ".join((*content.compound, *content.corrections)) or "none"
        raise CorrectionsError(
            f"{path}: no correction '{missing[0]}'; the file holds: {there:.2000}"
        )
