"""Rochester corrections of the momenta of muons."""

from __future__ import annotations

import hashlib
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.corrections.energies.muon_momentum import MuonMomentumPayload, flat_fields
from bphcoffea.errors import CorrectionsError
from bphcoffea.physics import lengths

#: Name of the uncertainty, with which the names of variations begin.
MOMENTUM: Final = "muon_momentum"


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
        flat = flat_fields(muons)
        counts = lengths(muons).tobytes()
        key = (counts, *(values.tobytes() for values in flat.values()))
        last = self._last
        # the variations up and down of a chunk have the same muons
        if last is None or last[0] != key:
            last = self._last = (key, self._of_simulation(muons, "error"))
        return last[1]

    def _of_simulation(self, muons: ak.Array, suffix: str) -> ak.Array:
        """Return the factor of each muon, or with the suffix ``error`` its uncertainty."""
        flat = flat_fields(muons)
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
