"""Payloads of b tagging, and the jets that they are evaluated for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import awkward as ak
import numpy as np

from bphcoffea.arrays import Floats, Integers
from bphcoffea.corrections.payload import Inputs, Payload
from bphcoffea.corrections.payload_factor import listed
from bphcoffea.errors import CorrectionsError, alternatives

#: Input that chooses the nominal value or an uncertainty, and the key of the nominal value.
SYSTEMATIC: Final = "systematic"
CENTRAL: Final = "central"
#: Process whose efficiencies stand for all others.
DEFAULT: Final = "default"
#: Fields of jets that the inputs are read from.
FIELDS: Final = {"flavor": "hadronFlavour", "abseta": "abseta", "pt": "pt"}


def tagger_payload(path: Path, name: str, inputs: set[str]) -> Payload:
    """Load a correction; raise a CorrectionsError unless it takes exactly the given inputs."""
    payload = Payload(path, name)
    if set(payload.inputs) != inputs:
        raise CorrectionsError(
            f"{path}: correction '{name}' takes {listed(payload)}, but must take "
            f"{', '.join(sorted(inputs))}"
        )
    if SYSTEMATIC in inputs and CENTRAL not in payload.all_keys(SYSTEMATIC):
        raise CorrectionsError(
            f"{path}: correction '{name}' has no nominal value: {SYSTEMATIC} has no key '{CENTRAL}'"
        )
    return payload


def fields_of_jets(declared: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the field of the jets for each input: the declared one, or that of NanoAOD."""
    for name in declared:
        if name not in FIELDS:
            raise CorrectionsError(
                f"{where}.fields: there is no input '{name}'{alternatives(name, FIELDS)}"
            )
    return {**FIELDS, **declared}


def check_pt(payload: Payload, numbers: Inputs) -> None:
    """Raise a CorrectionsError if the pT of a jet is not positive, which clamping would hide."""
    wrong = ~(numbers["pt"] > 0)
    if np.any(wrong):
        raise CorrectionsError(
            f"correction '{payload.name}': pt is {numbers['pt'][wrong][0]:g} for "
            f"{np.count_nonzero(wrong)} of {len(wrong)} jets; cut these jets away before"
        )


def described(payload: Payload) -> dict[str, object]:
    """Return the description of a payload for ``provenance.json``."""
    return {
        "file": str(payload.path.absolute()),
        "sha256": payload.sha256,
        "name": payload.name,
        "version": payload.version,
    }


def product_of_jets(per_jet: Floats, counts: Integers) -> Floats:
    """Return the product over the jets of each event, shape (events,)."""
    products: Floats = ak.to_numpy(ak.prod(ak.unflatten(per_jet, counts), axis=1))
    return products
