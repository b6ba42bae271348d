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
    FIELDS,
    SYSTEMATIC,
    check_pt,
    described,
    fields_of_jets,
    product_of_jets,
    tagger_payload,
)
from bphcoffea.corrections.payload import Inputs
from bphcoffea.corrections.payload_factor import Factor
from bphcoffea.corrections.section import era_ending

_SCORE: Final = "discriminant"
#: Beginnings of uncertainties that come from the size of the samples of an era.
_OF_ONE_ERA: Final = ("hfstats", "lfstats")
#: Beginning of uncertainties that belong to variations of jet energies.
_OF_ENERGIES: Final = "jes"


class BTagShapeFactor:
    """Weight of an event that corrects the distribution of the score of each of its jets.

    Each uncertainty applies to the jets of the flavours for which the file has it; all others keep
    the central value. Those of jet energies (``jes…``) are left out. Parameters are those of
    :class:`.BTagFactor`.
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

    def evaluate_jets(
        self, numbers: Inputs, scores: Floats, counts: Integers, *, shifted: bool = True
    ) -> Factor:
        """Evaluate the product of the scale factors of each event's jets.

        See :meth:`.BTagFactor.evaluate_jets`.
        """
        check_pt(self.payload, numbers)
        numbers = {**numbers, _SCORE: scores}
        central = self.payload.evaluate(numbers, {SYSTEMATIC: CENTRAL}, self._policy)

        def side(key: str) -> Floats:
            values = central.values.copy()
            mask = np.isin(numbers["flavor"], self._flavours[key])
            chosen = {name: column[mask] for name, column in numbers.items()}
            values[mask] = self.payload.evaluate(chosen, {SYSTEMATIC: key}, self._policy).values
            return product_of_jets(values, counts)

        shifts = {
            name: (side(up), side(down))
            for name, (up, down) in (self.uncertainties.items() if shifted else ())
        }
        clamped = int(np.count_nonzero(central.outside))
        return Factor(product_of_jets(central.values, counts), shifts, clamped)

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        return {
            **described(self.payload),
            "fields": self.fields,
            "out_of_range": self._policy,
            "uncertainties": list(self.uncertainties),
        }
