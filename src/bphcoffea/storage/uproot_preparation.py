"""Replacement of parts of uproot that are slow, or that trust sizes in files."""

from bphcoffea.storage.decompression import decompress_within
from bphcoffea.storage.rntuple_fields import index_fields
from bphcoffea.storage.tree_branches import parse_branches


def prepare_uproot(basket_limit: int) -> None:
    """Make uproot, in this process, read metadata and decompress baskets fast and within limits.

    Parameters
    ----------
    basket_limit
        Maximum size of a decompressed basket or page, bytes.
    """
    decompress_within(basket_limit)
    index_fields()
    parse_branches()
