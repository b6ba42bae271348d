"""Scale factors of b tagging at working points, from the correctionlib files of CMS's BTV group.

They are called ``deepJet_mujets``, ``deepJet_comb``, ``deepJet_incl``, ``deepJet_light`` …, and
take ``systematic``, ``working_point``, ``flavor``, ``abseta`` and ``pt``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from bphcoffea.arrays import Floats, Integers
from bphcoffea.corrections.btag.declaration import BTagSection
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
from bphcoffea.corrections.payload_factor import WHOLE, Factor
from bphcoffea.corrections.section import era_ending
from bphcoffea.errors import CorrectionsError

_WORKING_POINT: Final = "working_point"
#: Flavours of jets with b or c hadrons.
_HEAVY: Final = (4, 5)


class BTagFactor:
    """Weight of an event from the jets that pass working points, and those that do not.

    A jet that passes the working point i and not the next tighter one, j, has the weight (SFᵢ εᵢ -
    SFⱼ εⱼ)/(εᵢ - εⱼ), where SF ε is 1 below the loosest and 0 above the tightest one. With a single
    working point, it is SF for tagged jets and (1 - SF ε)/(1 - ε) for the others [CMS, BTV: method
    1a].

    Parameters
    ----------
    folder
        Folder of the TOML.
    section
        Section of the TOML that declares the payloads.
    where
        Name of the section, for messages.
    era
        Name of the era, appended to the names of decorrelated uncertainties.

    Attributes
    ----------
    fields
        Field of the jets for each input.
    scale_factors
        Payloads by kind of jet: ``heavy`` and ``light``.
    efficiencies
        Payloads by process; ``default`` is for all others.

    Raises
    ------
    CorrectionsError
        If a file or a correction is missing, or takes other inputs.
    """

    def __init__(self, folder: Path, section: BTagSection, where: str, era: str = "") -> None:
        self.where, self._policy = where, section.out_of_range
        self.fields = fields_of_jets(section.fields, where)
        inputs = {_WORKING_POINT, *FIELDS}
        self.scale_factors = {
            kind: tagger_payload(folder / section.file, name, {SYSTEMATIC, *inputs})
            for kind, name in (("heavy", section.heavy), ("light", section.light))
        }
        names = section.efficiencies
        names = {DEFAULT: names} if isinstance(names, str) else names
        file = folder / section.efficiency_file
        self.efficiencies = {
            process: tagger_payload(file, name, inputs) for process, name in names.items()
        }
        self.uncertainties = {
            kind: _parts(payload, era, decorrelated=section.decorrelated)
            for kind, payload in self.scale_factors.items()
        }

    def efficiency_of(self, process: str | None) -> Payload | None:
        """Return the efficiencies of a process; None if the TOML has none."""
        return self.efficiencies.get(process or DEFAULT, self.efficiencies.get(DEFAULT))

    def evaluate_jets(
        self,
        numbers: Inputs,
        scores: Floats,
        counts: Integers,
        working_points: Mapping[str, float],
        process: str | None,
        *,
        shifted: bool = True,
    ) -> Factor:
        """Evaluate the product of the weights of each event's jets.

        Parameters
        ----------
        numbers
            ``flavor``, ``abseta`` and ``pt`` (GeV) of all jets, shape (jets,) each.
        scores
            Score of the tagger, shape (jets,).
        counts
            Number of jets of each event, shape (events,).
        working_points
            Score above which a jet passes each working point.
        process
            Simulated process, on which the efficiencies may depend.
        shifted
            Whether to evaluate the uncertainties as well, by which all jets shift together.

        Raises
        ------
        CorrectionsError
            If an efficiency is missing, is not between 0 and 1, or excludes what some jet is.
        """
        payload = self.efficiency_of(process)
        if payload is None:
            raise CorrectionsError(f"[{self.where}] has no efficiencies of '{process}'")
        check_pt(payload, numbers)
        ordered = sorted(working_points, key=lambda name: working_points[name])
        passed = np.sum([scores > working_points[name] for name in ordered], axis=0)
        efficiencies = [self._efficiency(payload, numbers, name) for name in ordered]
        heavy = np.isin(numbers["flavor"], _HEAVY)
        masks = {"heavy": heavy, "light": ~heavy}
        clamped = 0

        def factors(kind: str, key: str) -> list[Floats]:
            nonlocal clamped
            mask = masks[kind]
            of_kind = {name: values[mask] for name, values in numbers.items()}
            found = []
            for name in ordered:
                texts = {SYSTEMATIC: key, _WORKING_POINT: name}
                evaluated = self.scale_factors[kind].evaluate(of_kind, texts, self._policy)
                found.append(evaluated.values)
                clamped += int(np.count_nonzero(evaluated.outside)) * (key == CENTRAL)
            return found

        nominal = [np.ones(len(scores)) for _ in ordered]
        for kind, mask in masks.items():
            for of_all, of_kind in zip(nominal, factors(kind, CENTRAL), strict=True):
                of_all[mask] = of_kind

        def weight(scale_factors: list[Floats]) -> Floats:
            per_jet = _between(passed, scale_factors, efficiencies, payload.name)
            return product_of_jets(per_jet, counts)

        shifts: dict[str, tuple[Floats, Floats]] = {}
        for kind, parts in self.uncertainties.items() if shifted else ():
            for part, keys in parts.items():
                sides = []
                for key in keys:
                    moved = [of_all.copy() for of_all in nominal]
                    for of_all, of_kind in zip(moved, factors(kind, key), strict=True):
                        of_all[masks[kind]] = of_kind
                    sides.append(weight(moved))
                shifts[f"{kind}_{part}" if part else kind] = (sides[0], sides[1])
        return Factor(weight(nominal), shifts, clamped)

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        return {
            **{kind: described(payload) for kind, payload in self.scale_factors.items()},
            "efficiencies": {name: described(p) for name, p in self.efficiencies.items()},
            "fields": self.fields,
            "out_of_range": self._policy,
            "uncertainties": [
                f"{kind}_{part or 'whole'}"
                for kind, parts in self.uncertainties.items()
                for part in parts
            ],
        }

    def _efficiency(self, payload: Payload, numbers: Inputs, working_point: str) -> Floats:
        values = payload.evaluate(numbers, {_WORKING_POINT: working_point}, self._policy).values
        wrong = (values < 0) | (values > 1)
        if np.any(wrong):
            raise CorrectionsError(
                f"correction '{payload.name}': {values[wrong][0]:.9g} is no efficiency of "
                f"'{working_point}'"
            )
        return values


def _between(
    passed: Integers, scale_factors: list[Floats], efficiencies: list[Floats], name: str
) -> Floats:
    """Return the weight of each jet from its interval between working points, shape (jets,)."""
    weights = np.ones(len(passed))
    for number in range(len(scale_factors) + 1):
        mask = passed == number
        if number == len(scale_factors):
            weights[mask] = scale_factors[-1][mask]
            continue
        tighter = efficiencies[number][mask]
        in_data, in_simulation = scale_factors[number][mask] * tighter, tighter
        if number:
            looser = efficiencies[number - 1][mask]
            in_data = scale_factors[number - 1][mask] * looser - in_data
            in_simulation = looser - in_simulation
        else:
            in_data, in_simulation = 1 - in_data, 1 - in_simulation
        wrong = ~(in_simulation > 0)
        if np.any(wrong):
            raise CorrectionsError(
                f"correction '{name}': no jet should fail the next tighter working point, but "
                f"{np.count_nonzero(wrong)} of {len(wrong)} jets do; merge bins of the efficiencies"
            )
        weights[mask] = in_data / in_simulation
    return weights


def _parts(payload: Payload, era: str, *, decorrelated: bool) -> dict[str, tuple[str, str]]:
    """Return the keys of the uncertainties of a scale factor, by name."""
    keys = payload.keys(SYSTEMATIC)
    split = ("correlated", "uncorrelated")
    if all(f"{side}_{part}" in keys for part in split for side in ("up", "down")):
        endings = {
            part: era_ending(era, decorrelated=decorrelated or part == "uncorrelated")
            for part in split
        }
        return {f"{part}{endings[part]}": (f"up_{part}", f"down_{part}") for part in split}
    if "up" in keys and "down" in keys:
        ending = era_ending(era, decorrelated=decorrelated)
        return {ending.removeprefix("_") or WHOLE: ("up", "down")}
    return {}
