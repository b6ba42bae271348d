"""Forms of files: the names and types of all branches, from which schemas make collections."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory
from coffea.nanoevents.mapping import SimplePreloadedColumnSource, UprootSourceMapping

from bphcoffea.inputs.columns import Form

#: Branches to look at: a pattern of their names, a function of uproot's branch, or None for all.
BranchFilter: TypeAlias = str | Callable[[Any], bool] | None


def form_of(file: uproot.ReadOnlyDirectory, tree: str, looked_at: BranchFilter = None) -> Form:
    """Return the form of a tree, as coffea's schemas take it; no values are read.

    Parameters
    ----------
    file
        The file.
    tree
        Path of the tree.
    looked_at
        Branches to look at, see :func:`branch_filter`.
    """
    return form_of_tree(file[tree], looked_at)


def form_of_tree(tree: uproot.TTree, looked_at: BranchFilter = None) -> Form:
    """Return the form of an uproot tree or RNTuple; see :func:`form_of`.

    It is made only once for files with the same branches of numbers and vectors, because making it
    takes half as long as reading the tree.
    """
    types = _types(tree)
    if types is None:
        return _made(tree, looked_at)
    content = _KNOWN.get((types, looked_at))
    if content is None:
        content = pickle.dumps(_made(tree, looked_at))
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[types, looked_at] = content
    # a copy, since schemas change it
    copied: Form = pickle.loads(content)  # noqa: S301 - from this process
    return copied


#: Classes that are the same in every file: vectors of numbers or strings, or of such vectors.
_VECTORS: Final = re.compile(
    r"(vector<)+(bool|string|float|double|U?Long64_t|(unsigned )?(char|short|int|long))( ?>)+"
)
#: Pickled forms by the types of the branches and the branches that were looked at.
_KNOWN: dict[tuple[bytes, BranchFilter], bytes] = {}
#: Largest number of forms, of up to some 0.3 MB each, that are known at a time.
_MOST_KNOWN = 16


def _made(tree: uproot.TTree, looked_at: BranchFilter) -> Form:
    form: Form = UprootSourceMapping._extract_base_form(tree, iteritems_options(looked_at))
    form["typenames"] = tree.typenames(**iteritems_options(looked_at))
    return form


def _types(tree: uproot.TTree) -> bytes | None:
    """Return a hash of everything that the form depends on; None if branches hold other classes.

    Other classes of the same name may differ from file to file.
    """
    if not isinstance(tree, uproot.TTree):
        return None
    digest = hashlib.sha256(tree.title.encode())
    for branch in tree.branches:
        held = ""
        if branch.classname != "TBranch":
            held = str(branch.member("fClassName", none_if_missing=True))
        if branch.branches or (held and not _VECTORS.fullmatch(held)):
            return None
        digest.update(repr((branch.name, branch.title, branch.classname, held)).encode())
        for leaf in branch.member("fLeaves"):
            members = [leaf.member(name) for name in ("fName", "fTitle", "fLen", "fIsUnsigned")]
            is_list = leaf.member("fLeafCount") is not None
            digest.update(repr((leaf.classname, is_list, *members)).encode())
    return digest.digest()


def branch_filter(schema: type[BaseSchema]) -> BranchFilter:
    """Return the branches that a schema looks at.

    The schema has them as its attribute ``filter_name``, a pattern, or ``filter_branch``, a
    function. Looking at all branches of formats with more than 1000 takes seconds per chunk, and
    coffea warns about each one that uproot cannot read.
    """
    found: BranchFilter = getattr(schema, "filter_branch", getattr(schema, "filter_name", None))
    return found


def iteritems_options(looked_at: BranchFilter) -> Mapping[str, BranchFilter]:
    """Return the options of uproot's ``iteritems`` for these branches."""
    return {"filter_branch" if callable(looked_at) else "filter_name": looked_at}


def template_form(schema: type[BaseSchema]) -> Form | None:
    """Return the form of the template of a schema; None if it has no template.

    The template of a schema has a column for every branch that the schema knows.
    """
    return _template_form(schema) if hasattr(schema, "template") else None  # type: ignore[arg-type]


@cache
def _template_form(schema: type[BaseSchema]) -> Form:
    columns = SimplePreloadedColumnSource(schema.template(), "template", 0, "template")
    factory = NanoEventsFactory.from_preloaded(columns, schemaclass=BaseSchema)
    form: Form = factory.events().attrs["@form"]
    return form
