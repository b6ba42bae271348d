"""Some corrections of a correctionlib file, compound ones included, as they stand in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import correctionlib
import numpy as np
import numpy.typing as npt

from bphcoffea.arrays import Booleans, Floats
from bphcoffea.corrections import nodes
from bphcoffea.corrections.correction_set import read_correction_set
from bphcoffea.errors import CorrectionsError

#: Values of an input by its name: numbers, shape (n,), or a text that is the same for all.
Arguments: TypeAlias = Mapping[str, npt.NDArray[Any] | str]


class CompiledCorrections:
    """Corrections of a file, ready to be evaluated; they can be pickled.

    Parameters
    ----------
    path
        A correctionlib file of schema version 2.
    names
        Names of corrections or compound corrections.
    products
        Names of corrections to multiply, by a name for their product. Each is evaluated at the
        `updated` input after those before it, as the compound corrections of CMS are.
    updated
        Input that is multiplied by each factor of a product.

    Attributes
    ----------
    path
        Path of the file.
    sha256
        Hash of the file.

    Raises
    ------
    CorrectionsError
        If the file is missing or wrong, or lacks a correction.
    """

    def __init__(
        self,
        path: Path,
        names: Iterable[str],
        products: Mapping[str, Sequence[str]] = MappingProxyType({}),
        updated: str = "",
    ) -> None:
        content = read_correction_set(path)
        self.path, self.sha256 = path, content.sha256
        factors = [name for of_product in products.values() for name in of_product]
        names = (*names, *factors)
        for name in names:
            # a compound correction cannot be part of another one
            is_compound = name in content.compound and name not in factors
            if not is_compound and name not in content.corrections:
                available = ", ".join((*content.compound, *content.corrections)) or "none"
                raise CorrectionsError(
                    f"{path}: no correction '{name}'; the file holds: {available:.2000}"
                )
        stacks = {
            name: tuple(json.loads(content.compound[name])["stack"])
            for name in names
            if name in content.compound
        }
        self._parts = {name: stacks.get(name, (name,)) for name in names}
        self._parts |= {name: tuple(of_product) for name, of_product in products.items()}
        single = dict.fromkeys(part for parts in self._parts.values() for part in parts)
        self._texts = {name: content.corrections[name] for name in single}
        self._compound = [content.compound[name] for name in stacks]
        self._compound += [self._product(name, updated) for name in products]
        try:
            _ = self._compiled
        except RuntimeError as error:
            raise CorrectionsError(
                f"{path}: correctionlib cannot read {' or '.join(map(repr, names))} ({error})"
            ) from None

    def _product(self, name: str, updated: str) -> str:
        """Return the text of a compound correction that multiplies others."""
        of_parts = (json.loads(self._texts[part])["inputs"] for part in self._parts[name])
        inputs = {variable["name"]: variable for of_part in of_parts for variable in of_part}
        return json.dumps(
            {
                "name": name,
                "stack": self._parts[name],
                "inputs": list(inputs.values()),
                "output": {"name": "correction", "type": "real"},
                "inputs_update": [updated],
                "input_op": "*",
                "output_op": "*",
            }
        )

    def inputs(self, name: str) -> dict[str, str]:
        """Return the type of each input of a correction: ``real``, ``int`` or ``string``."""
        return {variable.name: variable.type for variable in self.correction(name).inputs}

    def keys(self, name: str, variable: str, fixed: Mapping[str, str]) -> tuple[str, ...]:
        """Return the keys that a text input may have in every part and every bin.

        Parameters
        ----------
        name
            Name of the correction.
        variable
            The input.
        fixed
            Keys of other inputs.
        """
        found = []
        for part in self._parts[name]:
            node = nodes.parse(self._texts[part])
            if any(of_part["name"] == variable for of_part in node["inputs"]):
                found.append(nodes.keys(node["data"], variable, fixed))
        first = found[0] if found else []
        return tuple(key for key in first if all(key in keys for keys in found))

    def evaluate(self, name: str, arguments: Arguments) -> Floats:
        """Evaluate a correction; arguments that are not among its inputs are ignored.

        Raises
        ------
        CorrectionsError
            If it has no value for some of the arguments.
        """
        values = _converted(self.inputs(name), arguments)
        try:
            found = self.correction(name).evaluate(*values.values())
            return np.asarray(found, dtype=np.float64)
        except (IndexError, RuntimeError) as error:
            shown = ", ".join(_shown(variable, value) for variable, value in values.items())
            raise CorrectionsError(
                f"{self.path}: correction '{name}' has no value at {shown} ({error})"
            ) from None

    def outside(self, name: str, arguments: Arguments) -> Booleans:
        """Return which values are outside the bins of a part of a correction, shape (n,).

        All parts are asked for the same arguments, because the corrections of those before would
        take as long as the correction itself. See :meth:`evaluate`.
        """
        found = np.zeros(1, dtype=np.bool_)
        for part in self._parts[name]:
            values = _converted(self.inputs(part), arguments).values()
            detected = np.asarray(_detector(self._texts[part]).evaluate(*values))
            found = found | np.equal(detected, float(nodes.OUTSIDE))
        return found

    def __getstate__(self) -> dict[str, object]:
        # what correctionlib compiled cannot be pickled, and is compiled again when needed
        return {name: value for name, value in vars(self).items() if name != "_compiled"}

    @cached_property
    def _compiled(self) -> Any:
        return correctionlib.CorrectionSet.from_string(
            f'{{"schema_version": 2, "corrections": [{",".join(self._texts.values())}], '
            f'"compound_corrections": [{",".join(self._compound)}]}}'
        )

    def correction(self, name: str) -> Any:
        """Return a correction, or a compound one, of correctionlib."""
        compound = self._compiled.compound
        return compound[name] if name in compound else self._compiled[name]


def _converted(
    inputs: Mapping[str, str], arguments: Arguments
) -> dict[str, npt.NDArray[Any] | str]:
    """Return the arguments of a correction by the names of its inputs, in the types it takes."""
    values: dict[str, npt.NDArray[Any] | str] = {}
    for variable, kind in inputs.items():
        value = arguments[variable]
        if not isinstance(value, str):
            value = np.ascontiguousarray(value, np.int64 if kind == "int" else np.float64)
        values[variable] = value
    return values


@cache
def _detector(text: str) -> Any:
    """Return a correction that gives :data:`.nodes.OUTSIDE` outside the bins of another one."""
    node = nodes.parse(text)
    data = nodes.without_formulas(nodes.detecting(node["data"]))
    written = nodes.written({**node, "data": data})
    content = f'{{"schema_version": 2, "corrections": [{written}]}}'
    return correctionlib.CorrectionSet.from_string(content)[str(node["name"])]


def _shown(name: str, value: npt.NDArray[Any] | str) -> str:
    if isinstance(value, str):
        return f"{name} = '{value}'"
    return f"{name} in [{np.min(value):g}, {np.max(value):g}]"
