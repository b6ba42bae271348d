"""Checks of the baskets of a tree: consistent, not too large, protected by checksums.

All checks use the metadata of the tree, which are read anyway when it is opened.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeAlias

import numpy as np
import uproot

from bphcoffea.size_limits import basket_remedy

Tree: TypeAlias = uproot.TTree | uproot.behaviors.RNTuple.RNTuple

#: Allowed size of a column of an RNTuple's cluster, in units of the limit for baskets. Clusters
#: that ROOT writes hold up to 1.3 GB, their pages 1 MB.
_COLUMN_SIZE = 8
#: ROOT's number of the Zstandard algorithm, whose frames have no checksum when ROOT writes them.
_ZSTD = 5


def contradiction(tree: Tree, names: tuple[str, ...] = ()) -> str | None:
    """Return how the number of entries of a tree contradicts its branches; None if it does not.

    Parameters
    ----------
    tree
        A TTree or RNTuple of uproot.
    names
        Branches to compare; all if empty.
    """
    if isinstance(tree, uproot.TTree):
        found = (_contradiction_of_branch(tree, branch) for branch in _branches(tree, names))
        return next((text for text in found if text), None)
    return _contradiction_of_clusters(tree)


def oversized(tree: Tree, limit: int, names: tuple[str, ...] = ()) -> str | None:
    """Return which branch has a basket that decompresses to more than a limit; None if none has.

    The metadata do not hold the size of each basket. The largest is at least the mean size in its
    branch, and at least the minimum size of its entries; larger ones are found when they are read.

    Parameters
    ----------
    tree
        A TTree or RNTuple of uproot.
    limit
        Largest allowed size, bytes.
    names
        Branches to look at; all if empty.
    """
    part, factor = "basket", 1
    sizes = ((branch.name, _largest_basket(branch)) for branch in _branches(tree, names))
    if not isinstance(tree, uproot.TTree):
        part, factor = "column of a cluster", _COLUMN_SIZE
        sizes = _columns_of_clusters(tree)
    for name, size in sizes:
        if size > factor * limit:
            return (
                f"branch '{name}' has a {part} of {size / 1e6:.4g} MB, decompressed; "
                f"{basket_remedy(limit)}"
            )
    return None


def lacks_checksums(tree: Tree, names: tuple[str, ...] = ()) -> bool:
    """Return whether damage to some branch may change its values without an error.

    zlib, LZMA and ROOT's LZ4 have checksums; Zstandard and uncompressed data do not. Those of the
    pages of an RNTuple do not count, because they are not compared for fields that uproot reads.
    """
    if isinstance(tree, uproot.TTree):
        return any(_is_unprotected(branch) for branch in _branches(tree, names))
    return any(
        not _has_checksum(column.compression_settings)
        for cluster in tree.page_link_list
        for column in cluster
        if column.pages
    )


def _branches(tree: uproot.TTree, names: tuple[str, ...]) -> Iterator[uproot.TBranch]:
    for name in names or dict.fromkeys(tree.keys(recursive=True)):
        try:
            branch = tree[name]
        except uproot.KeyInFileError:
            continue  # reported elsewhere
        yield branch


def _contradiction_of_branch(tree: uproot.TTree, branch: uproot.TBranch) -> str | None:
    entries, in_branch = int(tree.num_entries), branch.num_entries
    if not branch.num_baskets and len(branch.branches):
        return None  # it only groups other branches
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


def _edges(branch: uproot.TBranch) -> list[int]:
    """Return the entries at which baskets begin and end.

    uproot's ``entry_offsets`` raises if they do not add up.
    """
    edges: list[int] = [0]
    if branch._num_normal_baskets:
        edges = branch.member("fBasketEntry")[: branch._num_normal_baskets + 1].tolist()
    for basket in branch.embedded_baskets:
        edges.append(edges[-1] + basket.num_entries)
    return edges


def _largest_basket(branch: uproot.TBranch) -> int:
    """Return a lower bound for the size of the largest basket, decompressed, bytes."""
    if not branch.num_baskets:
        return 0
    mean = int(branch.uncompressed_bytes) // int(branch.num_baskets)
    most_entries = int(np.max(np.diff(_edges(branch))))
    largest: int = max(mean, most_entries * _bytes_of_entry(branch))
    return largest


def _bytes_of_entry(branch: uproot.TBranch) -> int:
    """Return the minimum size of an entry, bytes."""
    if branch.member("fEntryOffsetLen"):
        return 4  # entries of variable size have at least an offset
    leaves = branch.member("fLeaves")
    return max(sum(int(leaf.member("fLen")) * int(leaf.member("fLenType")) for leaf in leaves), 1)


def _is_unprotected(branch: uproot.TBranch) -> bool:
    # ROOT stores data that do not shrink uncompressed, whatever the algorithm
    is_raw = branch.num_baskets and branch.compressed_bytes >= branch.uncompressed_bytes
    return bool(is_raw) or not _has_checksum(int(branch.member("fCompress")))


def _has_checksum(settings: int) -> bool:
    algorithm, level = divmod(settings, 100)
    return level > 0 and algorithm != _ZSTD


def _contradiction_of_clusters(tree: Tree) -> str | None:
    expected = 0
    for number, cluster in enumerate(tree.cluster_summaries):
        if cluster.num_first_entry != expected:
            return (
                f"cluster {number} begins at entry {cluster.num_first_entry}, but the clusters "
                f"before it hold {expected} entries"
            )
        expected += cluster.num_entries
    groups = sum(group.entry_span for group in tree.footer.cluster_group_records)
    if groups != expected:
        return f"the footer has {groups} entries, but the clusters {expected}"
    if len(tree.page_link_list) != len(tree.cluster_summaries):
        return f"{len(tree.cluster_summaries)} clusters, but pages of {len(tree.page_link_list)}"
    entry_columns = _entry_columns(tree)
    for number, (cluster, columns) in enumerate(
        zip(tree.cluster_summaries, tree.page_link_list, strict=True)
    ):
        for index, name in entry_columns.items():
            if index >= len(columns) or columns[index].suppressed:
                continue
            elements = sum(page.num_elements for page in columns[index].pages)
            if elements != cluster.num_entries:
                return (
                    f"cluster {number} has {cluster.num_entries} entries, but its pages of "
                    f"'{name}' hold {elements}"
                )
    return None


def _entry_columns(tree: Tree) -> dict[int, str]:
    """Return columns with one element per entry, by index, with the names of their fields.

    They are the first columns of top-level fields.
    """
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


def _columns_of_clusters(tree: Tree) -> Generator[tuple[str, int]]:
    """Yield the field and the size, bytes, of each column of each cluster."""
    records = tree.column_records
    for cluster in tree.page_link_list:
        for record, column in zip(records, cluster, strict=False):
            elements = sum(page.num_elements for page in column.pages)
            name = tree.field_records[record.field_id].field_name
            yield name, elements * record.nbits // 8
