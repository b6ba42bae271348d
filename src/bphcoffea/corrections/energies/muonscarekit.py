"""Corrections of the momenta of muons of the Muon POG's ``muonscarekit``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.arrays import Booleans, Floats
from bphcoffea.corrections.energies.declaration import MuonMomentumSection
from bphcoffea.corrections.energies.muon_momentum import MuonMomentumPayload, flat_fields
from bphcoffea.corrections.payload import Payload
from bphcoffea.corrections.payload_factor import listed
from bphcoffea.errors import CorrectionsError, alternatives

#: Names of the uncertainties, with which the names of variations begin.
SCALE, RESOLUTION = "muon_scale", "muon_resolution"
#: Inputs of each correction of ``muonscarekit``, in their order: numbers, or the keys of a text.
_SCARE: Final[dict[str, tuple[str | tuple[str, ...], ...]]] = {
    "a_data": ("eta", "phi", ("nom",)),
    "m_data": ("eta", "phi", ("nom",)),
    "a_mc": ("eta", "phi", ("nom", "stat")),
    "m_mc": ("eta", "phi", ("nom", "stat", "rho_stat")),
    "k_data": ("|eta|", ("nom",)),
    "k_mc": ("|eta|", ("nom", "stat")),
    "cb_params": ("|eta|", "layers", "number of the parameter"),
    "poly_params": ("|eta|", "layers", "number of the parameter"),
}
#: Range in which the corrections are valid, GeV [CMS, MUO: MuonScaRe.py].
_RANGE: Final = (26.0, 200.0)
#: Range of factors by which a smeared momentum is kept [CMS, MUO: MuonScaRe.py].
_PLAUSIBLE: Final = (0.1, 2.0)


class ScaRePayload(MuonMomentumPayload):
    """Corrections of the Muon POG's ``muonscarekit`` for Run 3.

    The formulas are those of its script ``MuonScaRe.py`` [CMS, MUO]. Its random numbers depend on
    the event, those here on the muon. Muons outside the range of validity keep their momentum.
    """

    def __init__(self, path: Path, section: MuonMomentumSection, ending: str) -> None:
        low, high = _RANGE
        self._min = low if section.min_pt is None else section.min_pt
        self._max = high if section.max_pt is None else section.max_pt
        self._payloads = {name: _scare_payload(path, name) for name in _SCARE}
        self.sources = (SCALE + ending, RESOLUTION + ending)

    @override
    def corrected(self, muons: ak.Array, *, is_mc: bool) -> ak.Array:
        flat = flat_fields(muons)
        scaled = self._scaled(flat, is_mc=is_mc)
        return ak.unflatten(self._smeared(flat, scaled) if is_mc else scaled, ak.num(muons))

    @override
    def varied(self, muons: ak.Array, source: str, *, up: bool) -> ak.Array:
        flat = flat_fields(muons)
        scaled = self._scaled(flat, is_mc=True)
        smeared = self._smeared(flat, scaled)
        sign = 1.0 if up else -1.0
        if source.startswith(SCALE):
            pt = smeared + sign * self._scale_uncertainty(flat, smeared)
        else:
            abs_eta = abs(flat["eta"])
            k, uncertainty = (
                self._value("k_mc", abs_eta, "nom"),
                self._value("k_mc", abs_eta, "stat"),
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                change = (smeared / scaled - 1) / k
            pt = np.where(k > 0, scaled * (1 + (k + sign * uncertainty) * change), smeared)
            pt = _plausible(pt, scaled)
        return ak.unflatten(pt, ak.num(muons))

    @override
    def outside(self, muons: ak.Array, *, is_mc: bool) -> Booleans:
        flat = flat_fields(muons)
        abs_eta = abs(flat["eta"])
        sample = "mc" if is_mc else "data"
        of_scale = (flat["eta"], flat["phi"], "nom")
        arguments: dict[str, tuple[Floats | int | str, ...]] = {
            f"a_{sample}": of_scale,
            f"m_{sample}": of_scale,
        }
        if is_mc:
            parameters = (abs_eta, flat["layers"], 0)
            arguments |= dict.fromkeys(("cb_params", "poly_params"), parameters)
            arguments |= dict.fromkeys(("k_data", "k_mc"), (abs_eta, "nom"))
        found = np.zeros(len(abs_eta), dtype=np.bool_)
        for name, of_name in arguments.items():
            found |= self._payloads[name].outside(*self._inputs(name, of_name))
        # others keep their momentum
        return found & (flat["pt"] >= self._min) & (flat["pt"] <= self._max)

    @override
    def describe(self) -> dict[str, object]:
        payload = self._payloads["a_mc"]
        return {
            "file": str(payload.path.absolute()),
            "sha256": payload.sha256,
            "kind": "muonscarekit",
            "min_pt": self._min,
            "max_pt": self._max,
        }

    def _scaled(self, muons: dict[str, Floats], *, is_mc: bool) -> Floats:
        """Return the momenta with a corrected scale, GeV, shape (muons,)."""
        sample = "mc" if is_mc else "data"
        pt, eta, phi = muons["pt"], muons["eta"], muons["phi"]
        m = self._value(f"m_{sample}", eta, phi, "nom")
        a = self._value(f"a_{sample}", eta, phi, "nom")
        return self._within(1 / (m / pt + muons["charge"] * a), pt)

    def _smeared(self, muons: dict[str, Floats], pt: Floats) -> Floats:
        """Return the momenta with the resolution of data, GeV, shape (muons,)."""
        # imports scipy.stats, late for all interpreters that correct no muons
        from coffea.lookup_tools.doublecrystalball import doublecrystalball

        abs_eta, layers = abs(muons["eta"]), muons["layers"]
        mean, sigma, n, alpha = (self._value("cb_params", abs_eta, layers, i) for i in range(4))
        number = doublecrystalball.ppf(muons["uniform"], alpha, alpha, n, n, loc=mean, scale=sigma)
        first, second, third = (self._value("poly_params", abs_eta, layers, i) for i in range(3))
        width = np.maximum(first + second * pt + third * pt * pt, 0)
        k_data, k_mc = (self._value(name, abs_eta, "nom") for name in ("k_data", "k_mc"))
        # the resolution of simulation cannot be improved
        k = np.sqrt(np.maximum(k_data**2 - k_mc**2, 0))
        return _plausible(self._within(pt * (1 + k * width * number), pt), pt)

    def _scale_uncertainty(self, muons: dict[str, Floats], pt: Floats) -> Floats:
        """Return the uncertainty of the momenta from the scale, GeV, shape (muons,)."""
        eta, phi = muons["eta"], muons["phi"]
        a = self._value("a_mc", eta, phi, "stat")
        m, rho = (self._value("m_mc", eta, phi, key) for key in ("stat", "rho_stat"))
        variance = m * m / (pt * pt) + a * a + 2 * muons["charge"] * rho * m / pt * a
        return pt * pt * np.sqrt(np.maximum(variance, 0))

    def _within(self, corrected: Floats, pt: Floats) -> Floats:
        valid = (pt >= self._min) & (pt <= self._max) & np.isfinite(corrected)
        return np.where(valid, corrected, pt)

    def _value(self, name: str, *arguments: Floats | int | str) -> Floats:
        return self._payloads[name].evaluate(*self._inputs(name, arguments), "clamp").values

    def _inputs(
        self, name: str, arguments: Sequence[Floats | int | str]
    ) -> tuple[dict[str, Floats], dict[str, str]]:
        """Return the numbers and texts of a payload, by the names of its inputs."""
        payload = self._payloads[name]
        size = next(len(a) for a in arguments if isinstance(a, np.ndarray))
        numbers, texts = dict[str, Floats](), dict[str, str]()
        for variable, argument in zip(payload.inputs, arguments, strict=True):
            if isinstance(argument, str):
                texts[variable] = argument
            else:
                numbers[variable] = np.broadcast_to(argument, size)
        return numbers, texts


def _plausible(smeared: Floats, pt: Floats) -> Floats:
    low, high = _PLAUSIBLE
    ratio = smeared / pt
    return np.where((ratio > high) | (ratio < low), pt, smeared)


def _scare_payload(path: Path, name: str) -> Payload:
    payload = Payload(path, name)
    wanted = _SCARE[name]
    kinds = [kind == "string" for kind in payload.inputs.values()]
    if kinds != [isinstance(argument, tuple) for argument in wanted]:
        names = ", ".join("a text" if isinstance(a, tuple) else a for a in wanted)
        raise CorrectionsError(
            f"{path}: '{name}' takes {listed(payload)}, but that of muonscarekit takes {names}"
        )
    for variable, argument in zip(payload.inputs, wanted, strict=True):
        keys = payload.keys(variable) if isinstance(argument, tuple) else ()
        missing = [key for key in argument if key not in keys] if keys else []
        if missing:
            raise CorrectionsError(
                f"{path}: input '{variable}' of '{name}' has no key '{missing[0]}'"
                f"{alternatives(missing[0], keys, 'it has')}"
            )
    return payload
