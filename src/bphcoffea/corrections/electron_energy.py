"""Energies of electrons: scale and smearing of the Egamma POG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import awkward as ak
import numpy as np

from bphcoffea.arrays import Booleans, Floats
from bphcoffea.corrections.compiled import CompiledCorrections
from bphcoffea.corrections.energies import ElectronEnergySection
from bphcoffea.corrections.section import era_ending
from bphcoffea.errors import CorrectionsError

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
        Name of the era, with which names of decorrelated uncertainties end.

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
        self._file: CompiledCorrections | None = None
        declared = (section.scale, section.smearing, section.scale_uncertainty)
        names = [name for name in declared if name is not None]
        self._text_inputs: dict[str, str] = {}
        if section.file is not None:
            path = folder / section.file
            self._file = CompiledCorrections(path, names)
            for name in names:
                self._text_inputs[name] = self._text_input(name)
        ending = era_ending(era, decorrelated=section.decorrelated)
        has_scale = bool(section.smearing or section.scale_uncertainty)
        self._kinds = {}
        if has_scale or "scale" in section.branches:
            self._kinds[SCALE + ending] = SCALE
        if section.smearing or "resolution" in section.branches:
            self._kinds[RESOLUTION + ending] = RESOLUTION
        self.sources = tuple(self._kinds)
        # wrong names and keys are found when the corrections are loaded
        for name, key in (
            (section.scale, _FACTOR),
            *((section.smearing, key) for key in (_WIDTH, _WIDTH_ERROR, _SCALE_ERROR)),
            *((section.scale_uncertainty, key) for key in _FACTORS.values()),
        ):
            if name is not None:
                self._check_key(name, key)

    def corrects(self, *, is_mc: bool) -> bool:
        """Return whether the energies of the file are replaced."""
        return bool(self._section.smearing if is_mc else self._section.scale)

    def quantities(self, *, is_mc: bool) -> tuple[str, ...]:
        """Return the quantities that are needed, in the words of :meth:`corrected`."""
        section = self._section
        names = (section.smearing, section.scale_uncertainty) if is_mc else (section.scale,)
        found = [
            _QUANTITIES[variable]
            for name in names
            if name and self._file
            for variable, kind in self._file.inputs(name).items()
            if kind != "string"
        ]
        if is_mc:
            sources = {"scale": SCALE, "resolution": RESOLUTION}
            for branch in section.branches:
                found += _DIFFERENCES[sources[branch]].values()
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

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        sha256 = {str(self._file.path.absolute()): self._file.sha256} if self._file else {}
        return {**self._section.model_dump(mode="json"), "sha256": sha256}

    def _value(
        self, name: str, key: str, quantities: Quantities, chosen: Booleans, otherwise: float
    ) -> Floats:
        """Evaluate a correction for the chosen electrons, shape (electrons,)."""
        assert self._file is not None  # noqa: S101 - the section needs a file for every name
        arguments: dict[str, Floats | str] = {**self._section.inputs, self._text_inputs[name]: key}
        for variable, kind in self._file.inputs(name).items():
            if kind != "string":
                arguments[variable] = _numbers(quantities(_QUANTITIES[variable]))[chosen]
        values = np.full(len(chosen), otherwise)
        if np.any(chosen):
            values[chosen] = self._file.evaluate(name, arguments)
        return values

    def _text_input(self, name: str) -> str:
        """Return the text input that selects what a correction gives, after checking the others."""
        assert self._file is not None  # noqa: S101 - the section needs a file for every name
        inputs = self._file.inputs(name)
        source = f"{self._file.path}: correction '{name}'"
        unknown = [n for n, kind in inputs.items() if kind != "string" and n not in _QUANTITIES]
        if unknown:
            raise CorrectionsError(
                f"{source} has the input {unknown[0]}; corrections of electrons may have "
                f"{', '.join(_QUANTITIES)}"
            )
        texts = [n for n, kind in inputs.items() if kind == "string"]
        free = [n for n in texts if n not in self._section.inputs]
        if len(free) != 1:
            raise CorrectionsError(
                f"{source} has the text inputs {', '.join(texts) or 'none'}; name the keys of all "
                "but the one that selects the scale or its uncertainty in 'inputs'"
            )
        return free[0]

    def _check_key(self, name: str, key: str) -> None:
        assert self._file is not None  # noqa: S101 - the section needs a file for every name
        keys = self._file.keys(name, self._text_inputs[name], self._section.inputs)
        if key not in keys:
            raise CorrectionsError(
                f"{self._file.path}: correction '{name}' has no key '{key}' of the input "
                f"'{self._text_inputs[name]}'; it has: {', '.join(keys) or 'none'}"
            )


def _numbers(values: ak.Array) -> Floats:
    numbers: Floats = ak.to_numpy(values).astype(np.float64)
    return numbers
