"""Columns of xAOD, the event data model of ATLAS, that are more than one branch.

These are numbers of linked objects, impact parameters of tracks, and terms of missing momentum.
Importing this module adds transforms to ``coffea.nanoevents.transforms``, as
:mod:`bphcoffea.inputs.columns` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import awkward as ak
import numpy as np
from coffea.nanoevents import transforms
from coffea.nanoevents.util import quote

from bphcoffea.errors import FilesetError
from bphcoffea.inputs.columns import Form, Stack
from bphcoffea.inputs.computed import computed
from bphcoffea.physics import doubles, flattened, lengths

#: Form of a column with one number per event.
_OF_EVENT: Final[Form] = {"class": "NumpyArray"}
#: Type of the primary vertex of an event [xAOD::VxType].
_PRIMARY: Final = 1


@dataclass(frozen=True)
class Link:
    """Links (``ElementLink``) of the objects of a collection to those of another one.

    Attributes
    ----------
    branch
        Branch of the links.
    reference
        Branch that sets the number of objects per event.
    several
        Whether each object has a list of links, of which the first counts.
    """

    branch: str
    reference: str
    several: bool = False

    def exists(self, branches: dict[str, Form]) -> bool:
        """Return whether the file has the links."""
        return all(branch in branches for branch, _ in self._parts())

    def to(self, branches: dict[str, Form], values: str) -> Form:
        """Return the form of numbers of the linked objects; NaN without a link.

        Parameters
        ----------
        branches
            Forms of the branches of the file.
        values
            Transforms that put the numbers on the stack, lists with one per linked object.
        """
        reference = self.reference
        parts = [
            f"{reference},!load,{branch},!load,{reference},{branch},!bphcoffea_aligned{step}"
            for branch, step in self._parts()
        ]
        steps = quote(",".join([values, *parts, self.branch]))
        return computed(branches[reference], "linked", steps)

    def _parts(self) -> list[tuple[str, str]]:
        """Return branch and further transforms of the positions and of the keys."""
        parts = ("m_persIndex", "m_persKey")
        if self.several:
            return [(self.branch, f",{part},!bphcoffea_first") for part in parts]
        return [(f"{self.branch}/{self.branch}.{part}", "") for part in parts]


def impact_parameters(
    branches: dict[str, Form], link: Link, tracks: str, vertices: str
) -> dict[str, Form]:
    """Return the forms of ``d0_significance`` and ``z0_sin_theta`` (mm), if the file has them.

    Parameters
    ----------
    branches
        Forms of the branches of the file.
    link
        Links to the tracks.
    tracks, vertices
        Prefixes of the branches of tracks and of vertices.
    """
    transverse = [f"{tracks}{leaf}" for leaf in ("d0", "definingParametersCovMatrixDiag")]
    longitudinal = [f"{tracks}{leaf}" for leaf in ("z0", "vz", "theta")]
    longitudinal += [f"{vertices}{leaf}" for leaf in ("z", "vertexType")]
    fields: dict[str, Form] = {}
    for name, sources in (("d0_significance", transverse), ("z0_sin_theta", longitudinal)):
        if link.exists(branches) and set(sources) <= set(branches):
            fields[name] = link.to(branches, f"{_loaded(sources)},!bphcoffea_{name}")
    return fields


def first_of_event(branch: str) -> Form:
    """Return the form of the first number of each event in a branch of lists."""
    return computed(_OF_EVENT, "first_of_event", quote(f"{branch},!load,{branch}"))


def named_term(branch: str, names: str, term: str) -> Form:
    """Return the form of the number of each event that has a name.

    Parameters
    ----------
    branch
        Branch with lists of numbers.
    names
        Branch with the names of the numbers.
    term
        The name.
    """
    loaded = _loaded((branch, names))
    return computed(_OF_EVENT, "named_term", quote(f"{loaded},{branch},{term}"))


def _loaded(names: Iterable[str]) -> str:
    return ",".join(f"{name},!load" for name in names)


def _pop_first(stack: Stack) -> None:
    part, links = stack.pop(), stack.pop()
    stack.append(ak.fill_none(ak.firsts(links[part], axis=2), 0))


def _pop_linked(stack: Stack) -> None:
    name, keys, positions, values = (stack.pop() for _ in range(4))
    counts = lengths(values)
    event = np.repeat(np.arange(len(counts)), lengths(positions))
    position = flattened(positions).astype(np.int64)
    is_linked = flattened(keys) != 0
    outside = event[is_linked & (position >= counts[event])]
    if len(outside):
        raise FilesetError(
            f"branch {name} links to an object that does not exist, in {len(np.unique(outside))} "
            f"events, first at position {outside[0]} of the chunk"
        )
    starts = np.cumsum(counts) - counts
    flat = doubles(values)
    linked = np.full(len(event), np.nan)
    linked[is_linked] = flat[(starts[event] + position)[is_linked]]
    stack.append(linked)


def _pop_first_of_event(stack: Stack) -> None:
    branch, values = stack.pop(), stack.pop()
    empty = np.flatnonzero(lengths(values) == 0)
    if len(empty):
        raise FilesetError(
            f"branch {branch} is empty in {len(empty)} events, first at position {empty[0]} of "
            "the chunk"
        )
    stack.append(ak.to_numpy(values[:, 0]).astype(np.float64))


def _pop_named_term(stack: Stack) -> None:
    term, branch, names, values = (stack.pop() for _ in range(4))
    chosen = values[names == term]
    wrong = np.flatnonzero(lengths(chosen) != 1)
    if len(wrong):
        raise FilesetError(
            f"branch {branch} must have one term '{term}' per event, but has "
            f"{ak.num(chosen)[wrong[0]]} in the event at position {wrong[0]} of the chunk"
        )
    stack.append(flattened(chosen))


def _pop_d0_significance(stack: Stack) -> None:
    variances, d0 = _pop_doubles(stack, 2)
    # the first of the five parameters of a track is d0
    variance = ak.fill_none(ak.firsts(variances, axis=2), np.nan)
    stack.append(d0 / np.sqrt(variance))


def _pop_z0_sin_theta(stack: Stack) -> None:
    kinds, z, theta, vz, z0 = _pop_doubles(stack, 5)
    primary = ak.fill_none(ak.firsts(z[kinds == _PRIMARY]), np.nan)
    stack.append((z0 + vz - primary) * np.sin(theta))


def _pop_doubles(stack: Stack, number: int) -> list[ak.Array]:
    return [ak.values_astype(stack.pop(), np.float64) for _ in range(number)]


transforms.bphcoffea_first = _pop_first
transforms.bphcoffea_linked = _pop_linked
transforms.bphcoffea_first_of_event = _pop_first_of_event
transforms.bphcoffea_named_term = _pop_named_term
transforms.bphcoffea_d0_significance = _pop_d0_significance
transforms.bphcoffea_z0_sin_theta = _pop_z0_sin_theta
