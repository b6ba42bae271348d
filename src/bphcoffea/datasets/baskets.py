"""Whether what a tree says of itself can be true, and whether damage to it would be noticed.

All of it is told from the tree's metadata, which are read anyway when it is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import uproot

from bphcoffea.size_limits import basket_remedy

#: ROOT's clusters of an RNTuple hold up to 1.3 GB, its pages 1 MB: so many times the limit of a
#: basket may a column of a cluster have.
_PAGES_OF_A_CLUSTER = 8
#: ROOT's number of the algorithm whose frames, as ROOT writes them, have no checksum.
_ZSTD = 5


def contradiction(tree: Any, names: tuple[str, ...] = ()) -> str | None:
    """Compare the number of entries of a tree with what its branches and baskets hold.

    Parameters
    ----------
    tree
        A TTree or RNTuple of uproot.
    names
        Its branches that matter; all if there are none.

    Returns
    -------
    What contradicts it, in one line; None if nothing does.
    """
    if isinstance(tree, uproot.TTree):
        found = (_contradiction_of_branch(tree, branch) for branch in _branches(tree, names))
        return next((text for text in found if text), None)
    return _contradiction_of_clusters(tree)


def oversized(tree: Any, limit: int, names: tuple[str, ...] = ()) -> str | None:
    """Name a branch with a basket that is larger than a limit once it is decompressed.

    The metadata don't hold the size of each basket; it is at least the mean of its branch, and
    what its entries need. Those that are larger are found when they are read.

    Parameters
    ----------
    tree, names
        As for :func:`contradiction`.
    limit
        Bytes.

    Returns
    -------
    What is too large, in one line; None if nothing is.
    """
    if isinstance(tree, uproot.TTree):
        sizes = _baskets_of_branches(tree, names)
        part, factor = "basket", 1
    else:
        sizes = _columns_of_clusters(tree)
        part, factor = "column of a cluster", _PAGES_OF_A_CLUSTER
    for name, size in sizes:
        if size > factor * limit:
            return (
                f"branch '{name}' has a {part} of {size / 1e6:.4g} MB, decompressed; "
                f"{basket_remedy(limit)}"
            )
    return None


def lacks_checksums(tree: Any, names: tuple[str, ...] = ()) -> bool:
    """Whether a branch is stored so that damage to it may give other numbers without an error.

    zlib and LZMA hold checksums, and LZ4 does as ROOT writes it; Zstandard does not, nor does what
    is not compressed. uproot does not compare the checksums of an RNTuple's pages.
    """
    if isinstance(tree, uproot.TTree):
        return any(_is_unprotected(branch) for branch in _branches(tree, names))
    return any(
        not _has_checksum(column.compression_settings)
        for cluster in tree.page_link_list
        for column in cluster
        if column.pages
    )


def _branches(tree: Any, names: tuple[str, ...]) -> Iterator[Any]:
    held = tree.keys(recursive=True)
    for name in dict.fromkeys(held):
        if not names or name in names:
            yield tree[name]


def _contradiction_of_branch(tree: Any, branch: Any) -> str | None:
    entries, in_branch = int(tree.num_entries), branch.num_entries
    if not branch.num_baskets and len(branch.branches):
        return None  # it holds others, and nothing itself
    if in_branch != entries:
        return f"the tree has {entries} entries, but its branch '{branch.name}' {in_branch}"
    edges = np.asarray(_edges(branch))
    if edges[0] != 0 or np.any(edges[1:] < edges[:-1]):
        return f"the baskets of branch '{branch.name}' are not in order"
    if edges[-1] != entries:
        return (
            f"the tree has {entries} entries, but the baskets of its branch '{branch.name}' "
            f"end at {edges[-1]}"
        )
    return None


def _edges(branch: Any) -> list[int]:
    """Entries at which baskets begin and end; uproot's own raises where they don't add up."""
    edges: list[int] = [0]
    if branch._num_normal_baskets:
        edges = branch.member("fBasketEntry")[: branch._num_normal_baskets + 1].tolist()
    for basket in branch.embedded_baskets:
        edges.append(edges[-1] + basket.num_entries)
    return edges


def _baskets_of_branches(tree: Any, names: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Name of each branch, and the least that its largest basket can have."""
    for branch in _branches(tree, names):
        yield branch.name, _largest_basket(branch)


def _largest_basket(branch: Any) -> int:
    if not branch.num_baskets:
        return 0
    mean = int(branch.uncompressed_bytes) // int(branch.num_baskets)
    most_entries = int(np.max(np.diff(_edges(branch))))
    largest: int = max(mean, most_entries * _bytes_of_entry(branch))
    return largest


def _bytes_of_entry(branch: Any) -> int:
    """What an entry needs at least: all of it if each has the same size, else its offset."""
    if branch.member("fEntryOffsetLen"):
        return 4
    leaves = branch.member("fLeaves")
    return max(sum(int(leaf.member("fLen")) * int(leaf.member("fLenType")) for leaf in leaves), 1)


def _is_unprotected(branch: Any) -> bool:
    # what does not shrink is stored as it is, whatever the algorithm
    is_raw = branch.num_baskets and branch.compressed_bytes >= branch.uncompressed_bytes
    return bool(is_raw) or not _has_checksum(int(branch.member("fCompress")))


def _has_checksum(settings: int) -> bool:
    algorithm, level = divmod(settings, 100)
    return level > 0 and algorithm != _ZSTD


def _contradiction_of_clusters(tree: Any) -> str | None:
    expected = 0
    for number, cluster in enumerate(tree.cluster_summaries):
        if cluster.num_first_entry != expected:
            return (
                f"cluster {number} begins at entry {cluster.num_first_entry}, but {expected} "
                "entries are in those before it"
            )
        expected += cluster.num_entries
    groups = sum(group.entry_span for group in tree.footer.cluster_group_records)
    if groups != expected:
        return f"the footer has {groups} entries, but the clusters {expected}"
    if len(tree.page_link_list) != len(tree.cluster_summaries):
        return f"{len(tree.cluster_summaries)} clusters, but pages of {len(tree.page_link_list)}"
    counted = _columns_of_entries(tree)
    for number, (cluster, columns) in enumerate(
        zip(tree.cluster_summaries, tree.page_link_list, strict=True)
    ):
        for index, name in counted.items():
            if index >= len(columns) or columns[index].suppressed:
                continue
            held = sum(page.num_elements for page in columns[index].pages)
            if held != cluster.num_entries:
                return (
                    f"cluster {number} has {cluster.num_entries} entries, but its pages of "
                    f"'{name}' {held}"
                )
    return None


def _columns_of_entries(tree: Any) -> dict[int, str]:
    """Columns with an element for each entry, and their fields: the first of a top-level field."""
    found: dict[int, str] = {}
    fields = tree.field_records
    seen = set()
    for index, column in enumerate(tree.column_records):
        field = fields[column.field_id]
        first = (column.field_id, column.repr_idx) not in seen
        seen.add((column.field_id, column.repr_idx))
        is_top = field.parent_field_id == column.field_id
        is_whole = not column.flags & uproot.const.RNTupleColumnFlags.DEFERRED
        if first and is_top and is_whole and not field.repetition:
            found[index] = field.field_name
    return found


def _columns_of_clusters(tree: Any) -> Iterator[tuple[str, int]]:
    """Name and size of each column of each cluster."""
    records = tree.column_records
    for cluster in tree.page_link_list:
        for record, column in zip(records, cluster, strict=False):
            elements = sum(page.num_elements for page in column.pages)
            name = tree.field_records[record.field_id].field_name
            yield name, elements * record.nbits // 8
