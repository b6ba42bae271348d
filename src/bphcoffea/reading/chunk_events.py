"""The events of a chunk, whose columns are read when they are used."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Collection, Mapping

import awkward as ak
import uproot
from coffea.nanoevents import BaseSchema, EDM4HEPSchema, NanoEventsFactory
from coffea.nanoevents.mapping import UprootSourceMapping
from coffea.nanoevents.schemas.edm4hep import podio_collection_types
from typing_extensions import override

from bphcoffea.inputs import Form, branch_filter, iteritems_options
from bphcoffea.reading.baskets import Bytes, Decoder, UnusualError, ranges
from bphcoffea.reading.opened_files import OpenedFile, Range
from bphcoffea.reading.strings import indexed_form, with_index


class Columns(UprootSourceMapping):  # type: ignore[misc]
    """Columns of a chunk, which coffea asks for when they are used.

    Each branch is decoded once: in one pass over its baskets if
    :class:`~bphcoffea.reading.baskets.Decoder` knows it, and else by uproot.

    Parameters
    ----------
    file
        The file.
    tree
        Path of the tree.
    start, stop
        First entry of the chunk, and the first one after it.
    basket_limit
        Maximum size of a decompressed basket, bytes.
    expected
        Branches that will probably be used: a server is asked for all of them at once.

    Attributes
    ----------
    used
        Names of the branches that were read.
    reading_s
        Time that reading took, s.
    """

    def __init__(
        self,
        file: OpenedFile,
        tree: str,
        start: int,
        stop: int,
        basket_limit: int,
        expected: Collection[str] = (),
    ) -> None:
        # with coffea's cache, since it asks several times for the offsets of a collection
        super().__init__(None, start, stop, cache={}, access_log=[], virtual=True, buffer_cache={})
        self._file = file
        self._tree = file.root[tree]
        self._partition = (str(file.root.file.uuid), self._tree.object_path)
        self.preload_column_source(*self._partition, self._tree)
        self._decoder = Decoder(start, stop, basket_limit)
        self._expected = expected if file.is_remote else ()
        self._received: dict[Range, Bytes] = {}
        self._arrays: dict[int, ak.Array] = {}
        self.reading_s = 0.0

    @property
    def used(self) -> set[str]:
        """Names of the branches that were read."""
        return {access.branch for access in self._access_log}

    def events(self, schema: type[BaseSchema], metadata: Mapping[str, object]) -> ak.Array:
        """Return the events of the chunk in the form that a schema gives them."""
        factory = NanoEventsFactory._from_mapping(
            self,
            (*self._partition, f"{self._start}-{self._stop}"),
            self._form(schema),
            schema,
            dict(metadata),
            mode="virtual",
        )
        return factory.events()

    @override
    def extract_column(
        self,
        columnhandle: uproot.TBranch | uproot.behaviors.RNTuple.HasFields | None,
        start: int,
        stop: int,
        allow_missing: bool,
        use_ak_forth: bool = True,
    ) -> ak.Array:
        """Return a column; coffea calls it."""
        began = time.perf_counter()
        try:
            if allow_missing:
                return super().extract_column(columnhandle, start, stop, allow_missing)
            if id(columnhandle) not in self._arrays:
                self._arrays[id(columnhandle)] = self._column(columnhandle, start, stop)
            return self._arrays[id(columnhandle)]
        finally:
            self.reading_s += time.perf_counter() - began

    def _column(
        self,
        branch: uproot.TBranch | uproot.behaviors.RNTuple.HasFields,
        start: int,
        stop: int,
    ) -> ak.Array:
        if isinstance(branch, uproot.TBranch):
            with contextlib.suppress(UnusualError):
                baskets = self._baskets(ranges(branch, start, stop))
                return ak.Array(self._decoder.decode(branch, baskets))
        column = super().extract_column(branch, start, stop, allow_missing=False)
        return ak.Array(with_index(column.layout))

    def _baskets(self, places: list[Range]) -> list[Bytes]:
        wanted = dict.fromkeys(places)
        for name in self._expected:
            with contextlib.suppress(UnusualError, uproot.KeyInFileError):
                wanted |= dict.fromkeys(ranges(self._tree[name], self._start, self._stop))
        self._expected = ()
        missing = [place for place in wanted if place not in self._received]
        self._received |= zip(missing, self._file.read(missing), strict=True)
        return [self._received.pop(place) for place in places]

    def _form(self, schema: type[BaseSchema]) -> Form:
        """Return names and types of the branches that a schema looks at, for the schema."""
        looked_at = branch_filter(schema)
        key = (self._tree.object_path, schema, looked_at)
        known = self._file.known
        if key not in known:
            form = self._extract_base_form(self._tree, iteritems_options(looked_at))
            form["contents"] = [indexed_form(content) for content in form["contents"]]
            form["typenames"] = self._tree.typenames()
            if issubclass(schema, EDM4HEPSchema):
                form["podio_collection_types"] = podio_collection_types(self._tree)
            known[key] = pickle.dumps(form)
        # a copy, since the schema changes it
        copied: Form = pickle.loads(known[key])  # noqa: S301 - from this process
        return copied
