"""Momenta of muons: Rochester corrections, and those of the Muon POG's ``muonscarekit``."""

from __future__ import annotations

import hashlib
import tempfile
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.arrays import Floats
from bphcoffea.corrections.energies import MuonMomentumSection
from bphcoffea.corrections.payload import Payload
from bphcoffea.corrections.payload_factor import listed
from bphcoffea.corrections.section import era_ending
from bphcoffea.documents import read_bytes
from bphcoffea.errors import CorrectionsError

#: Names of the uncertainties, with which the names of variations begin.
SCALE, RESOLUTION, MOMENTUM = "muon_scale", "muon_resolution", "muon_momentum"


class MuonMomentumPayload(ABC):
    """Corrections of the momenta of muons; they can be pickled.

    Muons are a list per event of records with the fields ``pt`` (GeV), ``eta``, ``phi`` and
    ``charge``. Simulated ones also have ``layers``, the number of tracker layers, ``uniform``, a
    random number between 0 and 1, and ``pt_gen``, the generated momentum (GeV), 0 without one.

    Attributes
    ----------
    sources
        Names of the uncertainties.
    """

    sources: tuple[str, ...]

    @abstractmethod
    def corrected(self, muons: ak.Array, *, is_mc: bool) -> ak.Array:
        """Return the transverse momenta of data or simulation, GeV."""

    @abstractmethod
    def varied(self, muons: ak.Array, source: str, *, up: bool) -> ak.Array:
        """Return the transverse momenta of simulation in a variation, GeV."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""


def load_muon_momentum(folder: Path, section: MuonMomentumSection, era: str) -> MuonMomentumPayload:
    """Load the corrections that a section of an era's TOML declares.

    Raises
    ------
    CorrectionsError
        If the file is missing, or neither of Rochester corrections nor of ``muonscarekit``.
    """
    path = folder / section.file
    content = read_bytes(path, "file of muon momenta", CorrectionsError)
    ending = era_ending(era, decorrelated=section.decorrelated)
    if content.lstrip()[:1] == b"{":
        return ScaRePayload(path, section, ending)
    if section.min_pt is not None or section.max_pt is not None:
        raise CorrectionsError(
            f"{path}: Rochester corrections apply to all muons; leave min_pt and max_pt out"
        )
    return RochesterPayload(path, content, ending)


class RochesterPayload(MuonMomentumPayload):
    """Rochester corrections, evaluated by coffea's ``rochester_lookup``.

    Simulated muons with a generated one are corrected by ``kSpreadMC``, others by ``kSmearMC``. The
    uncertainty is the quadratic sum over all sets of the file [A. Bodek et al., EPJC 72 (2012)
    2194].
    """

    #: Muons whose uncertainties were evaluated last, and the uncertainties.
    _last: tuple[tuple[bytes, ...], ak.Array] | None = None

    def __init__(self, path: Path, content: bytes, ending: str) -> None:
        self._path = path
        self._sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self._tables = _rochester_tables(path, content)
        self.sources = (MOMENTUM + ending,) if self._tables["nsets"] > 1 else ()

    @override
    def corrected(self, muons: ak.Array, *, is_mc: bool) -> ak.Array:
        if not is_mc:
            factors = self._lookup.kScaleDT(muons.charge, muons.pt, muons.eta, muons.phi)
            return muons.pt * factors
        return muons.pt * self._of_simulation(muons, "")

    @override
    def varied(self, muons: ak.Array, source: str, *, up: bool) -> ak.Array:
        factors, errors = self._of_simulation(muons, ""), self._uncertainties(muons)
        return muons.pt * (factors + errors if up else factors - errors)

    @override
    def describe(self) -> dict[str, object]:
        return {"file": str(self._path.absolute()), "sha256": self._sha256, "kind": "Rochester"}

    def _uncertainties(self, muons: ak.Array) -> ak.Array:
        """Return the uncertainty of the factor of each muon, which takes seconds to evaluate."""
        flat = _flat(muons)
        counts = ak.to_numpy(ak.num(muons)).tobytes()
        key = (counts, *(values.tobytes() for values in flat.values()))
        last = self._last
        # the variations up and down of a chunk have the same muons
        if last is None or last[0] != key:
            last = self._last = (key, self._of_simulation(muons, "error"))
        return last[1]

    def _of_simulation(self, muons: ak.Array, suffix: str) -> ak.Array:
        """Return the factor of each muon, or with the suffix ``error`` its uncertainty."""
        flat = _flat(muons)
        matched = flat["pt_gen"] > 0
        kinematics = ("charge", "pt", "eta", "phi")
        factors = np.zeros(len(matched))
        for chosen, function, names in (
            (matched, f"kSpreadMC{suffix}", (*kinematics, "pt_gen")),
            (~matched, f"kSmearMC{suffix}", (*kinematics, "layers", "uniform")),
        ):
            # coffea wants lists of muons; a single one is faster by far, because it evaluates the
            # more than hundred members of the sets one after the other
            arguments = (flat[name][chosen][np.newaxis] for name in names)
            if np.any(chosen):
                factors[chosen] = ak.to_numpy(getattr(self._lookup, function)(*arguments))[0]
        return ak.unflatten(factors, ak.num(muons))

    def __getstate__(self) -> dict[str, object]:
        return {n: value for n, value in vars(self).items() if n not in ("_lookup", "_last")}

    @cached_property
    def _lookup(self) -> Any:
        # imports scipy.stats, late for all interpreters that correct no muons
        from coffea.lookup_tools.rochester_lookup import rochester_lookup

        return rochester_lookup(self._tables)


def _rochester_tables(path: Path, content: bytes) -> dict[str, Any]:
    """Return the tables of a text file of Rochester corrections, as coffea converts them."""
    from coffea.lookup_tools.rochester_lookup import rochester_lookup
    from coffea.lookup_tools.txt_converters import convert_rochester_file

    with tempfile.NamedTemporaryFile(suffix=".txt") as file:  # coffea opens a path
        file.write(content)
        file.flush()
        try:
            tables: dict[str, Any] = convert_rochester_file(file.name)
            rochester_lookup(tables)
        except (AssertionError, LookupError, NameError, TypeError, ValueError):
            raise CorrectionsError(
                f"{path}: neither a file of Rochester corrections (RoccoR….txt) nor of "
                "correctionlib"
            ) from None
    return tables


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
        flat = _flat(muons)
        scaled = self._scaled(flat, is_mc=is_mc)
        return ak.unflatten(self._smeared(flat, scaled) if is_mc else scaled, ak.num(muons))

    @override
    def varied(self, muons: ak.Array, source: str, *, up: bool) -> ak.Array:
        flat = _flat(muons)
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
        abs_eta, layers = abs(muons["eta"]), muons["layers"]
        mean, sigma, n, alpha = (self._value("cb_params", abs_eta, layers, i) for i in range(4))
        from coffea.lookup_tools.doublecrystalball import doublecrystalball

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
        payload = self._payloads[name]
        size = next(len(a) for a in arguments if isinstance(a, np.ndarray))
        numbers, texts = {}, {}
        for variable, argument in zip(payload.inputs, arguments, strict=True):
            if isinstance(argument, str):
                texts[variable] = argument
            else:
                numbers[variable] = np.broadcast_to(argument, size)
        return payload.evaluate(numbers, texts, "clamp").values


def _flat(muons: ak.Array) -> dict[str, Floats]:
    return {name: ak.to_numpy(ak.flatten(muons[name])).astype(np.float64) for name in muons.fields}


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
                f"{path}: input '{variable}' of '{name}' has no key '{missing[0]}'; it has: "
                f"{', '.join(keys)}"
            )
    return payload
