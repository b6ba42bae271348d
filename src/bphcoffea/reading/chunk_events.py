"""The events of a chunk, whose columns are read when they are used."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Any

import awkward as ak
import uproot
from coffea.nanoevents import BaseSchema, EDM4HEPSchema, NanoEventsFactory
from coffea.nanoevents.mapping import UprootSourceMapping
from coffea.nanoevents.schemas.edm4hep import podio_collection_types
from typing_extensions import override

from bphcoffea import garbage
from bphcoffea.inputs import Form, branch_filter, form_of_tree
from bphcoffea.reading.baskets import Decoder, ranges
from bphcoffea.reading.kept_columns import KeptColumns
from bphcoffea.reading.opened_files import OpenedFile, Range
from bphcoffea.reading.pages import PageDecoder
from bphcoffea.reading.requests import Received, UnusualError
from bphcoffea.reading.strings import indexed_form, with_index


class Columns(UprootSourceMapping):  # type: ignore[misc]
    """Columns of a chunk, which coffea asks for when they are used.

    Each branch is decoded once: in one pass over its baskets or pages if
    :class:`~bphcoffea.reading.baskets.Decoder` or :class:`~bphcoffea.reading.pages.PageDecoder`
    knows it, and else by uproot.

    Parameters
    ----------
    open_file
        Function that opens the file. It is called when something is not among the kept columns.
    tree
        Path of the tree.
    start, stop
        First entry of the chunk, and the first one after it.
    basket_limit
        Maximum size of a decompressed basket or page, bytes.
    expected
        Branches that will probably be used: a server is asked for all of them at once.
    kept
        Columns of the chunk that are kept on a disk, to which the ones read here are added.
    threads
        Number of threads that decompress.

    Attributes
    ----------
    used
        Names of the branches that were read.
    reading_s
        Time that reading took, s.
    """

    def __init__(
        self,
        open_file: Callable[[], OpenedFile],
        tree: str,
        start: int,
        stop: int,
        basket_limit: int,
        expected: Collection[str] = (),
        kept: KeptColumns | None = None,
        threads: int = 1,
    ) -> None:
        # with coffea's cache, since it asks several times for the offsets of a collection
        super().__init__(None, start, stop, cache={}, access_log=[], virtual=True, buffer_cache={})
        self._open_file = open_file
        self._path = tree
        self._kept = kept
        self._basket_limit = basket_limit
        self._threads = threads
        self._decoder = Decoder(start, stop, basket_limit, threads)
        self._expected = expected
        self._requested: dict[str, list[Range]] = {}
        self._arrays: dict[str, ak.Array] = {}
        self._read_before: int | None = None
        self.reading_s = 0.0

    @cached_property
    def _file(self) -> OpenedFile:
        file = self._open_file()
        self._read_before = file.bytes_read
        return file

    @cached_property
    def _tree(self) -> Any:
        return self._file.root[self._path]

    @cached_property
    def _received(self) -> Received:
        return Received(self._file)

    @cached_property
    def _pages(self) -> PageDecoder:
        return PageDecoder(
            *(self._file, self._path, self._start, self._stop, self._basket_limit, self._threads)
        )

    @property
    def bytes_read(self) -> int:
        """Number of bytes that were read from the file."""
        return 0 if self._read_before is None else self._file.bytes_read - self._read_before

    @property
    def used(self) -> set[str]:
        """Names of the branches that were read."""
        return {access.branch for access in self._access_log}

    def events(self, schema: type[BaseSchema], metadata: Mapping[str, object]) -> ak.Array:
        """Return the events of the chunk in the form that a schema gives them."""
        with garbage.unsearched():
            factory = NanoEventsFactory._from_mapping(
                self,
                ("file", "tree", f"{self._start}-{self._stop}"),
                self._form(schema),
                schema,
                dict(metadata),
                mode="virtual",
            )
            return factory.events()

    @override
    def _column_source(self, uuid: str, path_in_source: str) -> None:
        """Return nothing, because the file may not be needed; coffea calls it."""

    @override
    def get_column_handle(self, columnsource: None, name: str, allow_missing: bool) -> object:
        """Return what tells a column from others; coffea calls it."""
        return super().get_column_handle(self._tree, name, allow_missing) if allow_missing else name

    @override
    def extract_column(
        self,
        columnhandle: str,
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
            if columnhandle not in self._arrays:
                self._arrays[columnhandle] = ak.Array(self._column(columnhandle))
            return self._arrays[columnhandle]
        finally:
            self.reading_s += time.perf_counter() - began

    def _column(self, name: str) -> ak.contents.Content:
        if self._kept is None:
            return self._read(name)
        column = self._kept.column(name)
        if column is None:
            column = self._read(name)
            self._kept.add(name, column)
        return column

    def _read(self, name: str) -> ak.contents.Content:
        with contextlib.suppress(UnusualError):
            return self._decode(name)
        read = super().extract_column(self._tree[name], self._start, self._stop, False)
        return with_index(read.layout)

    def _decode(self, name: str) -> ak.contents.Content:
        expected: list[str] = []
        if self._file.is_remote:
            expected = [each for each in self._expected if each not in (self._kept or ())]
            self._expected = ()
        if isinstance(self._tree, uproot.TTree):
            self._request_baskets((*expected, name))
            if name not in self._requested:
                raise UnusualError
            baskets = self._received.take(self._requested.pop(name))
            return self._decoder.decode(self._tree[name], baskets)
        self._pages.request(expected)
        return self._pages.decode(name)

    def _request_baskets(self, names: Iterable[str]) -> None:
        """Read the baskets of branches, except those of unusual or missing ones."""
        found = {}
        for name in names:
            if name not in self._requested:
                with contextlib.suppress(UnusualError, uproot.KeyInFileError):
                    found[name] = ranges(self._tree[name], self._start, self._stop)
        self._received.request(itertools.chain.from_iterable(found.values()))
        self._requested |= found

    def _form(self, schema: type[BaseSchema]) -> Form:
        """Return names and types of the branches that a schema looks at, for the schema."""
        looked_at = branch_filter(schema)
        has_podio = issubclass(schema, EDM4HEPSchema)
        # a function may select other branches in another run
        name = None if self._kept is None or callable(looked_at) else repr((looked_at, has_podio))
        if self._kept is not None and name and (form := self._kept.form(name)) is not None:
            return form
        key = (self._tree.object_path, schema, looked_at)
        known = self._file.known
        if key not in known:
            form = form_of_tree(self._tree, looked_at)
            form["contents"] = [indexed_form(content) for content in form["contents"]]
            if has_podio:
                form["podio_collection_types"] = podio_collection_types(self._tree)
            known[key] = pickle.dumps(form)
        # a copy, since the schema changes it
        copied: Form = pickle.loads(known[key])  # noqa: S301 - from this process
        if self._kept is not None and name:
            self._kept.add_form(name, copied)
        return copied
