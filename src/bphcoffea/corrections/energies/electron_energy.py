"""Energies of electrons: scale and smearing of the Egamma POG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import awkward as ak
import numpy as np

from bphcoffea.arrays import Booleans, Floats
from bphcoffea.corrections.compiled import CompiledCorrections
from bphcoffea.corrections.energies.declaration import ElectronEnergySection
from bphcoffea.corrections.section import era_ending
from bphcoffea.errors import CorrectionsError, alternatives

#: Names of the uncertainties, with which the names of variations begin.
SCALE, RESOLUTION = "electron_scale", "electron_resolution"
#: Quantities that an input may be, by the name of the input in files of CMS.
_QUANTITIES: Final = {
    "run": "run",
    "pt": "pt",
    "ScEta": "supercluster_eta",
    "AbsScEta": "supercluster_abs_eta",
    "r9": "r9",
    "seedGain": "gain",
    # of the uncertainty of Run 2
    "eta": "supercluster_eta",
    "gain": "gain",
}
#: Keys of the corrections: factor of data; width and uncertainties of simulation.
_FACTOR, _WIDTH, _WIDTH_ERROR, _SCALE_ERROR = "scale", "smear", "esmear", "escale"
#: Keys of the uncertainty of Run 2: factors.
_FACTORS: Final = {True: "scaleup", False: "scaledown"}
#: Fields of NanoAOD with nominal minus shifted energy, GeV [CMS, NanoAOD: electrons_cff.py].
_DIFFERENCES: Final = {
    SCALE: {True: "dEscaleUp", False: "dEscaleDown"},
    RESOLUTION: {True: "dEsigmaUp", False: "dEsigmaDown"},
}

#: Names of the uncertainties in the section's list of branches.
_BRANCHES: Final = {SCALE: "scale", RESOLUTION: "resolution"}

#: Function from the name of a quantity of electrons to its values, shape (electrons,).
Quantities = Callable[[str], ak.Array]


class ElectronEnergyPayload:
    """Corrections of the energies of electrons; they can be pickled.

    Parameters
    ----------
    folder
        Folder of the TOML.
    section
        Names of the corrections.
    era
        Name of the era, appended to the names of decorrelated uncertainties.

    Attributes
    ----------
    sources
        Names of the uncertainties.

    Raises
    ------
    CorrectionsError
        If the file is missing or wrong, lacks a correction, or one has an unknown input or key.
    """

    def __init__(self, folder: Path, section: ElectronEnergySection, era: str) -> None:
        self._section = section
        keys = {
            section.scale: (_FACTOR,),
            section.smearing: (_WIDTH, _WIDTH_ERROR, _SCALE_ERROR),
            section.scale_uncertainty: tuple(_FACTORS.values()),
        }
        declared = {name: of_name for name, of_name in keys.items() if name is not None}
        self._text_inputs: dict[str, str] = {}
        self._file: CompiledCorrections | None = None
        if section.file is not None:
            self._file = CompiledCorrections(folder / section.file, declared)
            for name, of_name in declared.items():
                self._text_inputs[name] = _text_input(self._file, name, section.inputs, of_name)
        ending = era_ending(era, decorrelated=section.decorrelated)
        self._kinds = {}
        if section.smearing or section.scale_uncertainty or "scale" in section.branches:
            self._kinds[SCALE + ending] = SCALE
        if section.smearing or "resolution" in section.branches:
            self._kinds[RESOLUTION + ending] = RESOLUTION
        self.sources = tuple(self._kinds)

    def corrects(self, *, is_mc: bool) -> bool:
        """Return whether the energies of the file are replaced."""
        return bool(self._section.smearing if is_mc else self._section.scale)

    def quantities(self, *, is_mc: bool) -> tuple[str, ...]:
        """Return the names of the quantities that :meth:`corrected` and :meth:`varied` need."""
        section, found = self._section, list[str]()
        for name in (section.smearing, section.scale_uncertainty) if is_mc else (section.scale,):
            if name and self._file:
                found += [_QUANTITIES[variable] for variable in _numeric(self._file, name)]
        for kind in self._kinds.values() if is_mc else ():
            if _BRANCHES[kind] in section.branches:
                found += _DIFFERENCES[kind].values()
        return tuple(dict.fromkeys(found))

    def corrected(self, quantities: Quantities, noise: Floats | None) -> Floats:
        """Return the transverse momenta of simulation, or of data without random numbers.

        Parameters
        ----------
        quantities
            Function from a name to values, shape (electrons,): ``pt`` (GeV), ``eta``,
            ``supercluster_eta``, ``supercluster_abs_eta``, ``r9``, ``gain``, ``run``, and fields of
            NanoAOD with differences of the energy.
        noise
            Normally distributed random numbers, shape (electrons,).
        """
        pt = _numbers(quantities("pt"))
        valid = pt >= self._section.min_pt
        if noise is None and self._section.scale:
            pt = pt * self._value(self._section.scale, _FACTOR, quantities, valid, 1.0)
        elif noise is not None and self._section.smearing:
            width = self._value(self._section.smearing, _WIDTH, quantities, valid, 0.0)
            pt = pt * (1 + width * noise)
        return pt

    def varied(self, quantities: Quantities, noise: Floats, source: str, *, up: bool) -> Floats:
        """Return the transverse momenta of simulation in a variation, GeV, shape (electrons,)."""
        section, kind = self._section, self._kinds[source]
        pt, sign = _numbers(quantities("pt")), 1.0 if up else -1.0
        valid = pt >= section.min_pt
        if section.smearing and kind == SCALE:
            error = self._value(section.smearing, _SCALE_ERROR, quantities, valid, 0.0)
            return (1 + sign * error) * self.corrected(quantities, noise)
        if section.smearing:
            width = self._value(section.smearing, _WIDTH, quantities, valid, 0.0)
            error = self._value(section.smearing, _WIDTH_ERROR, quantities, valid, 0.0)
            return pt * (1 + (width + sign * error) * noise)
        if section.scale_uncertainty and kind == SCALE:
            everywhere = np.ones(len(pt), dtype=np.bool_)
            name = section.scale_uncertainty
            return pt * self._value(name, _FACTORS[up], quantities, everywhere, 1.0)
        energy = pt * np.cosh(_numbers(quantities("eta")))
        return pt * (1 - _numbers(quantities(_DIFFERENCES[kind][up])) / energy)

    def outside(self, quantities: Quantities, *, is_mc: bool) -> Booleans:
        """Return which electrons are outside the bins of :meth:`corrected`, shape (electrons,)."""
        valid = _numbers(quantities("pt")) >= self._section.min_pt
        name, key = self._section.smearing, _WIDTH
        if not is_mc:
            name, key = self._section.scale, _FACTOR
        if name is not None and self._file is not None and np.any(valid):
            valid[valid] = self._file.outside(name, self._arguments(name, key, quantities, valid))
        return valid

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        sha256 = {str(self._file.path.absolute()): self._file.sha256} if self._file else {}
        return {**self._section.model_dump(mode="json"), "sha256": sha256}

    def _value(
        self, name: str, key: str, quantities: Quantities, chosen: Booleans, otherwise: float
    ) -> Floats:
        """Evaluate a correction for the chosen electrons, shape (electrons,)."""
        values = np.full(len(chosen), otherwise)
        if self._file is not None and np.any(chosen):
            arguments = self._arguments(name, key, quantities, chosen)
            values[chosen] = self._file.evaluate(name, arguments)
        return values

    def _arguments(
        self, name: str, key: str, quantities: Quantities, chosen: Booleans
    ) -> dict[str, Floats | str]:
        """Return the arguments of a correction for the chosen electrons."""
        arguments: dict[str, Floats | str] = {**self._section.inputs}
        arguments[self._text_inputs[name]] = key
        for variable in _numeric(self._file, name) if self._file else ():
            arguments[variable] = _numbers(quantities(_QUANTITIES[variable]))[chosen]
        return arguments


def _numeric(file: CompiledCorrections, name: str) -> list[str]:
    return [variable for variable, kind in file.inputs(name).items() if kind != "string"]


def _text_input(
    file: CompiledCorrections, name: str, fixed: Mapping[str, str], needed: tuple[str, ...]
) -> str:
    """Return the text input that selects what a correction gives.

    Parameters
    ----------
    file
        The file.
    name
        Name of the correction.
    fixed
        Keys of the other text inputs.
    needed
        Keys that the input must have.

    Raises
    ------
    CorrectionsError
        If the correction has an unknown input, several text inputs that might be meant, or lacks
        a key.
    """
    source = f"{file.path}: correction '{name}'"
    unknown = [variable for variable in _numeric(file, name) if variable not in _QUANTITIES]
    if unknown:
        raise CorrectionsError(
            f"{source} has the input {unknown[0]}; corrections of electrons may have "
            f"{', '.join(_QUANTITIES)}"
        )
    texts = [variable for variable, kind in file.inputs(name).items() if kind == "string"]
    free = [variable for variable in texts if variable not in fixed]
    if len(free) != 1:
        raise CorrectionsError(
            f"{source} has the text inputs {', '.join(texts) or 'none'}; name the keys of all "
            "but the one that selects the scale or its uncertainty in 'inputs'"
        )
    keys = file.keys(name, free[0], fixed)
    for key in needed:
        if key not in keys:
            raise CorrectionsError(
                f"{source} has no key '{key}' of the input '{free[0]}'"
                f"{alternatives(key, keys, 'it has')}"
            )
    return free[0]


def _numbers(values: ak.Array) -> Floats:
    numbers: Floats = ak.to_numpy(values).astype(np.float64)
    return numbers
