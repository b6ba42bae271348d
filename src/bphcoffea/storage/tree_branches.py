"""Branches of a TTree, parsed with few operations.

uproot reads each member and base class of a branch and of its leaf by itself: for the 1500 branches
of NanoAOD, this takes 0.2 s, as long as processing 100 000 events. Here, the bytes of a branch
become the same objects of uproot in a third of the time. Branches that are not as usual are left to
uproot, which also explains what is wrong with them.
"""

from __future__ import annotations

import struct
from typing import Any, Final, TypeVar

import numpy as np
import uproot
from uproot.deserialization import read_object_any
from uproot.models.TAtt import Model_TAttFill_v2
from uproot.models.TBranch import Model_TBranch, Model_TBranch_v13
from uproot.models.TLeaf import Model_TLeaf_v2
from uproot.models.TNamed import Model_TNamed
from uproot.models.TObjArray import Model_TObjArray
from uproot.models.TObject import Model_TObject
from uproot.models.TTree import Model_ROOT_3a3a_TIOFeatures as Model_TIOFeatures
from uproot.source.chunk import Chunk
from uproot.source.cursor import Cursor

#: Version of branches that ROOT writes since 2017.
_VERSION: Final = 13
#: Bit of a number of bytes, which stands before an object and does not count itself.
_COUNT: Final = 0x40000000
#: Bit of a reference to a class by the place of its name, and the mark before a new name.
_CLASS: Final = 0x80000000
_NEW_CLASS: Final = 0xFFFFFFFF
#: Longest name of a class of leaves, bytes.
_LONGEST_NAME: Final = 64
#: Bits of a ``TObject``.
_IS_ON_HEAP: Final = 0x01000000
_IS_REFERENCED: Final = 0x10

#: Size of a text of 255 bytes or more.
_LONG: Final = struct.Struct(">I")
#: Number of bytes and version of a class.
_HEADER: Final = struct.Struct(">IH")
#: Header of ``TNamed``; version, number and bits of its ``TObject``.
_NAMED: Final = struct.Struct(">IHHII")
#: Header and members of ``TAttFill``, the first numbers of the branch.
_FIRST: Final = struct.Struct(">IHhh iiiiq")
_FIRST_NAMES: Final = (
    *("fCompress", "fBasketSize", "fEntryOffsetLen", "fWriteBasket", "fEntryNumber"),
)
#: Header, checksum and bits of ``ROOT::TIOFeatures``, and further numbers.
_SECOND: Final = struct.Struct(">IHIB iIiqqqq")
_SECOND_NAMES: Final = (
    *("fOffset", "fMaxBaskets", "fSplitLevel", "fEntries", "fFirstEntry", "fTotBytes", "fZipBytes"),
)
_ARRAYS: Final = (
    ("fBasketBytes", np.dtype(">i4")),
    ("fBasketEntry", np.dtype(">i8")),
    ("fBasketSeek", np.dtype(">i8")),
)
#: Header of ``TObjArray``; version, number and bits of its ``TObject``; an empty name; size and
#: lower bound.
_LIST: Final = struct.Struct(">IHHIIB ii")
#: Number of bytes and class of an object that a list holds.
_ELEMENT: Final = struct.Struct(">II")
#: Headers of a leaf and of its base class ``TLeaf``.
_LEAF: Final = struct.Struct(">IHIH")
#: Members of ``TLeaf``; the last is the place of the leaf that counts the values.
_LEAF_MEMBERS: Final = struct.Struct(">iii?? I")
_LEAF_NAMES: Final = ("fLen", "fLenType", "fOffset", "fIsRange", "fIsUnsigned")
#: Models of leaves, and the types of their two members, by uproot's class for all versions.
_LEAVES: Final = {
    uproot.classes[name]: (uproot.classes[name].known_versions[1], struct.Struct(members))
    for name, members in {
        "TLeafO": ">??",
        "TLeafB": ">bb",
        "TLeafS": ">hh",
        "TLeafI": ">ii",
        "TLeafL": ">qq",
        "TLeafF": ">ff",
        "TLeafD": ">dd",
        "TLeafC": ">ii",
        "TLeafElement": ">ii",
    }.items()
}

M = TypeVar("M", bound=uproot.model.Model)


class _UnusualError(Exception):
    """A branch is not as this module knows them."""


def parse_branches() -> None:
    """Make uproot, in this process, read branches with this module.

    uproot takes the class of a version from this table.
    """
    Model_TBranch.known_versions[_VERSION] = _QuickBranch


def _read(
    _cls: type,
    chunk: Chunk,
    cursor: Cursor,
    context: dict[str, Any],
    file: uproot.ReadOnlyFile,
    selffile: Any,
    parent: Any,
    concrete: Any = None,
) -> Any:
    """Read a branch; uproot calls it."""
    begin = cursor.index
    try:
        return _Parser(chunk, cursor, context, file, selffile).branch(parent, concrete)
    except (_UnusualError, struct.error, LookupError, ValueError):
        cursor.move_to(begin)
    return Model_TBranch_v13.read(chunk, cursor, context, file, selffile, parent, concrete=concrete)


#: uproot takes the name of a class for that in C++ and its version.
_QuickBranch: Final = type(
    Model_TBranch_v13.__name__, (Model_TBranch_v13,), {"read": classmethod(_read)}
)


class _Parser:
    """Parser of the bytes of one branch; arguments are those that uproot passes on."""

    def __init__(
        self,
        chunk: Chunk,
        cursor: Cursor,
        context: dict[str, Any],
        file: uproot.ReadOnlyFile,
        selffile: Any,
    ) -> None:
        self._chunk = chunk
        self._cursor = cursor
        self._context = context
        self._file = file
        self._selffile = selffile
        self._begin = cursor.index
        self._refs = cursor.refs
        #: What is added to a place in the branch to refer to it.
        self._offset = cursor.displacement() + uproot.const.kMapOffset
        count, version = _HEADER.unpack(self._bytes(_HEADER.size))
        if not count & _COUNT or version != _VERSION:
            raise _UnusualError
        self._data = memoryview(self._bytes((count ^ _COUNT) + 4))
        self._at = _HEADER.size

    def branch(self, parent: Any, concrete: Any) -> Any:
        """Return the branch, and move the cursor to its end."""
        branch = self._model(Model_TBranch_v13, parent, concrete, _VERSION)
        concrete = branch if concrete is None else concrete
        members = branch._members
        named = self._named(parent, concrete)
        fill, version, color, style, *numbers = self._next(_FIRST)
        if fill != _COUNT | 6 or version != 2:
            raise _UnusualError
        filled = self._model(Model_TAttFill_v2, parent, concrete, version)
        filled._members.update(fFillColor=color, fFillStyle=style)
        branch._bases += [named, filled]
        members.update(zip(_FIRST_NAMES, numbers, strict=True))
        features, version, _, bits, *numbers = self._next(_SECOND)
        if features != _COUNT | 7 or version:
            raise _UnusualError
        members["fIOFeatures"] = self._model(Model_TIOFeatures, concrete, None, version)
        members["fIOFeatures"]._members["fIOBits"] = bits
        members.update(zip(_SECOND_NAMES, numbers, strict=True))
        members["fBranches"] = self._branches(concrete)
        members["fLeaves"] = self._leaves(concrete)
        branch._cursor_baskets = self._moved().copy()
        count, _ = self._next(_HEADER)
        if not count & _COUNT:
            raise _UnusualError
        self._at += (count ^ _COUNT) + 4 - _HEADER.size
        for name, dtype in _ARRAYS:
            self._at += 1  # a byte says whether there is an array
            size = members["fMaxBaskets"]
            members[name] = np.frombuffer(self._data, dtype, size, self._at)
            self._at += size * dtype.itemsize
        self._at = len(self._data)  # the name of the file with the baskets is not needed
        return branch.postprocess(self._chunk, self._moved(), self._context, self._file)

    def _named(self, parent: Any, concrete: Any) -> Model_TNamed:
        begin = self._at
        count, version, *base = self._next(_NAMED)
        named = self._model(Model_TNamed, parent, concrete, version)
        named._bases.append(self._object(base, parent, concrete))
        named._members.update(fName=self._text(), fTitle=self._text())
        self._check(begin, count, version, 1)
        return named

    def _object(self, base: list[int], parent: Any, concrete: Any) -> Model_TObject:
        version, number, bits = base
        if version != 1 or bits & _IS_REFERENCED:
            raise _UnusualError
        made = self._model(Model_TObject, parent, concrete, version)
        made._members.update({"@fUniqueID": number, "@fBits": bits | _IS_ON_HEAP})
        return made

    def _branches(self, parent: Any) -> Model_TObjArray:
        begin = self._at
        branches, count = self._list(parent)
        if not branches._members["fSize"]:
            self._check(begin, count)
            return branches
        self._at = begin
        model = self._file.class_named("TObjArray")
        branches = model.read(
            *(self._chunk, self._moved(), self._context, self._file, self._selffile, parent)
        )
        self._at = self._cursor.index - self._begin
        return branches

    def _leaves(self, parent: Any) -> Model_TObjArray:
        begin = self._at
        leaves, count = self._list(parent)
        for _ in range(leaves._members["fSize"]):
            place = self._at
            leaf = self._leaf(parent)
            if leaf is None:
                self._at = place
                leaf = read_object_any(
                    *(self._chunk, self._moved(), self._context, self._file),
                    *(self._selffile, parent),
                )
                self._at = self._cursor.index - self._begin
            leaves._data.append(leaf)
        self._check(begin, count)
        return leaves

    def _list(self, parent: Any) -> tuple[Model_TObjArray, int]:
        """Return a list without its elements, and its number of bytes."""
        count, version, *base, name, size, lower_bound = self._next(_LIST)
        if version != 3 or name:
            raise _UnusualError
        made = self._model(Model_TObjArray, parent, None, version)
        made._bases.append(self._object(base, parent, made))
        made._members.update(fName="", fSize=size, fLowerBound=lower_bound)
        made._data = []
        return made, count

    def _leaf(self, parent: Any) -> Any:
        """Return a leaf; None if it is unusual."""
        begin = self._at
        count, tag = self._next(_ELEMENT)
        if not count & _COUNT or not tag & _CLASS:
            return None  # a leaf that another leaf holds
        if tag == _NEW_CLASS:
            name = bytes(self._data[self._at : self._at + _LONGEST_NAME]).partition(b"\0")[0]
            self._refs[begin + 4 + self._offset] = self._file.class_named(name.decode())
            self._at += len(name) + 1
            tag = begin + 4 + self._offset | _CLASS
        model, members = _LEAVES.get(self._refs[tag ^ _CLASS], (None, None))
        if model is None or members is None:
            return None
        place = self._at
        own, version, inherited, base_version = self._next(_LEAF)
        leaf = self._model(model, parent, None, version)
        base = self._model(Model_TLeaf_v2, parent, leaf, base_version)
        base._bases.append(self._named(parent, leaf))
        *numbers, counter = self._next(_LEAF_MEMBERS)
        base._members.update(zip(_LEAF_NAMES, numbers, strict=True))
        counted_by = self._refs.get(counter)
        if counter and counted_by is None:
            return None
        base._members["fLeafCount"] = counted_by
        self._check(place + _HEADER.size, inherited, base_version, 2)
        leaf._bases.append(base)
        leaf._members.update(zip(model.member_names, self._next(members), strict=True))
        self._check(place, own, version, 1)
        self._check(begin, count)
        self._refs[begin + self._offset] = leaf
        return leaf

    def _model(self, model: type[M], parent: Any, concrete: Any, version: int) -> M:
        made = object.__new__(model)
        made._cursor = None
        made._file = self._selffile
        made._parent = parent
        made._concrete = concrete
        made._members = {}
        made._bases = []
        made._num_bytes = None
        made._instance_version = version
        made._is_memberwise = False
        return made

    def _next(self, members: struct.Struct) -> Any:
        values = members.unpack_from(self._data, self._at)
        self._at += members.size
        return values

    def _check(self, begin: int, count: int, version: int = 0, known: int = 0) -> None:
        """Check the number of bytes and the version of what began at a place and ends here."""
        if count ^ _COUNT != self._at - begin - 4 or version != known:
            raise _UnusualError

    def _text(self) -> str:
        size = self._data[self._at]
        self._at += 1
        if size == 255:
            (size,) = self._next(_LONG)
        self._at += size
        if self._at > len(self._data):
            raise _UnusualError
        return bytes(self._data[self._at - size : self._at]).decode(errors="surrogateescape")

    def _bytes(self, size: int) -> Any:
        return self._chunk.get(self._begin, self._begin + size, self._cursor, self._context)

    def _moved(self) -> Cursor:
        self._cursor.move_to(self._begin + self._at)
        return self._cursor
