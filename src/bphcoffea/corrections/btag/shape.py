"""Scale factors of the shape of a b tagger's score, from the files of CMS's BTV group.

They are called ``deepJet_shape`` …, and take ``systematic``, ``flavor``, ``abseta``, ``pt`` and
``discriminant``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from bphcoffea.arrays import Floats, Integers
from bphcoffea.corrections.btag.declaration import BTagShapeSection
from bphcoffea.corrections.btag.payload import (
    CENTRAL,
    DEFAULT,
    FIELDS,
    SYSTEMATIC,
    check_pt,
    described,
    fields_of_jets,
    product_of_jets,
    tagger_payload,
)
from bphcoffea.corrections.payload import Inputs, Payload
from bphcoffea.corrections.payload_factor import Factor
from bphcoffea.corrections.section import era_ending
from bphcoffea.errors import CorrectionsError

_SCORE: Final = "discriminant"
#: Input of the normalisation, and endings of its keys of variations.
_N_JETS: Final = "n_jets"
_SIDES: Final = ("Up", "Down")
#: Beginnings of uncertainties that come from the size of the samples of an era.
_OF_ONE_ERA: Final = ("hfstats", "lfstats")
#: Beginning of uncertainties that belong to variations of jet energies.
_OF_ENERGIES: Final = "jes"


class BTagShapeFactor:
    """Weight of an event that corrects the distribution of the score of each of its jets.

    Each uncertainty applies to the jets of the flavours for which the file has it; all others keep
    the central value. Those of jet energies (``jes…``) are left out. If the section has a
    normalisation, it multiplies the weight and each of its variations by a factor that depends on
    the number of jets. Parameters are those of :class:`.BTagFactor`.

    Attributes
    ----------
    normalisations
        Normalisations by process; ``default`` is for all others. Empty if there are none.
    """

    def __init__(self, folder: Path, section: BTagShapeSection, where: str, era: str = "") -> None:
        self.where, self._policy = where, section.out_of_range
        self.fields = fields_of_jets(section.fields, where)
        inputs = {SYSTEMATIC, _SCORE, *FIELDS}
        self.payload = tagger_payload(folder / section.file, section.shape, inputs)
        keys = self.payload.all_keys(SYSTEMATIC)
        self.uncertainties: dict[str, tuple[str, str]] = {}
        self._flavours: dict[str, list[int]] = {}
        for up in keys:
            name, down = up.removeprefix("up_"), f"down_{up.removeprefix('up_')}"
            if not up.startswith("up_") or down not in keys or name.startswith(_OF_ENERGIES):
                continue
            decorrelated = section.decorrelated or name.startswith(_OF_ONE_ERA)
            ending = era_ending(era, decorrelated=decorrelated)
            self.uncertainties[f"{name}{ending}"] = up, down
            for key in (up, down):
                flavours = self.payload.keys("flavor", {SYSTEMATIC: key})
                self._flavours[key] = [int(flavour) for flavour in flavours]
        names = section.normalisation or {}
        names = {DEFAULT: names} if isinstance(names, str) else names
        self.normalisations = {
            process: self._normalisation(folder / str(section.normalisation_file), name)
            for process, name in names.items()
        }

    def _normalisation(self, path: Path, name: str) -> Payload:
        """Load a normalisation; raise a CorrectionsError unless it has all variations."""
        payload = tagger_payload(path, name, {SYSTEMATIC, _N_JETS})
        sides = [key + side for key in self.uncertainties for side in _SIDES]
        missing = [key for key in sides if key not in payload.keys(SYSTEMATIC)]
        if missing:
            raise CorrectionsError(
                f"{path}: correction '{name}' has no normalisation of the variation "
                f"'{missing[0]}'; make it from a run with all variations of the weight"
            )
        return payload

    def normalisation_of(self, process: str | None) -> Payload | None:
        """Return the normalisation of a process; None if the TOML has none."""
        return self.normalisations.get(process or DEFAULT, self.normalisations.get(DEFAULT))

    def evaluate_jets(
        self,
        numbers: Inputs,
        scores: Floats,
        counts: Integers,
        process: str | None = None,
        *,
        shifted: bool = True,
    ) -> Factor:
        """Evaluate the product of the scale factors of each event's jets, normalised.

        See :meth:`.BTagFactor.evaluate_jets`.
        """
        check_pt(self.payload, numbers)
        numbers = {**numbers, _SCORE: scores}
        central = self.payload.evaluate(numbers, {SYSTEMATIC: CENTRAL}, self._policy)

        normalisation = self.normalisation_of(process)

        def normalised(per_jet: Floats, variation: str) -> Floats:
            product = product_of_jets(per_jet, counts)
            if normalisation is None:
                return product
            of_events = {_N_JETS: counts.astype(np.float64)}
            return (
                product * normalisation.evaluate(of_events, {SYSTEMATIC: variation}, "clamp").values
            )

        def side(key: str, variation: str) -> Floats:
            values = central.values.copy()
            mask = np.isin(numbers["flavor"], self._flavours[key])
            chosen = {name: column[mask] for name, column in numbers.items()}
            values[mask] = self.payload.evaluate(chosen, {SYSTEMATIC: key}, self._policy).values
            return normalised(values, variation)

        up_ending, down_ending = _SIDES
        shifts = {
            name: (side(up, name + up_ending), side(down, name + down_ending))
            for name, (up, down) in (self.uncertainties.items() if shifted else ())
        }
        clamped = int(np.count_nonzero(central.outside))
        return Factor(normalised(central.values, CENTRAL), shifts, clamped)

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        return {
            **described(self.payload),
            "fields": self.fields,
            "out_of_range": self._policy,
            "normalisation": {n: described(payload) for n, payload in self.normalisations.items()},
            "uncertainties": list(self.uncertainties),
        }
