"""Fast decompression for uproot that never expands a basket beyond a limit.

The uncompressed sizes in the headers of a file may be wrong. uproot reserves the size in the header
of a basket, and decompresses a block to its end whatever its header says: a block of 16 MB may
expand to gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cramjam
import numpy as np
import numpy.typing as npt
import uproot
from isal import isal_zlib

from bphcoffea.size_limits import LimitExceededError, basket_remedy

Bytes = npt.NDArray[np.uint8]


def decompress_within(limit: int) -> None:
    """Make uproot refuse, in this process, to decompress a basket to more than `limit` bytes.

    zlib is decompressed by ISA-L, twice as fast as the standard library. These private objects
    are replaced because uproot does not decompress with the documented ``uproot.ZLIB``.
    """
    uproot.compression._decompress_ZLIB.decompress = _zlib
    for name, decompress_into in (
        ("LZMA", cramjam.xz.decompress_into),
        ("ZSTD", cramjam.zstd.decompress_into),
        ("LZ4", cramjam.lz4.decompress_block_into),
    ):
        decompressor = getattr(uproot.compression, f"_decompress_{name}")
        decompressor.decompress = partial(_into_buffer, decompress_into)

    def check(uncompressed_bytes: int, **_: object) -> None:
        if uncompressed_bytes > limit:
            raise LimitExceededError(
                f"a basket expands to {uncompressed_bytes / 1e6:.4g} MB; {basket_remedy(limit)}"
            )

    uproot.compression.decompress.hook_before_block = check
    uproot.compression.decompress.hook_after_block = _check_filled


def _check_filled(
    cursor: uproot.source.cursor.Cursor,
    start: uproot.source.cursor.Cursor,
    compressed_bytes: int,
    filled: int,
    uncompressed_bytes: int,
    **_: object,
) -> None:
    """Raise after the last block of a basket that is not full: the rest would be random bytes."""
    if cursor.displacement(start) >= compressed_bytes and filled != uncompressed_bytes:
        raise ValueError(f"the blocks of a basket hold {filled} of {uncompressed_bytes} bytes")


def _zlib(data: Bytes, uncompressed_bytes: int) -> bytes:
    decompressor = isal_zlib.decompressobj()
    # one byte more than expected, so that uproot notices a block that holds more
    content: bytes = decompressor.decompress(data, uncompressed_bytes + 1)
    if not decompressor.eof and len(content) <= uncompressed_bytes:
        raise ValueError("a compressed block is truncated")
    return content


def _into_buffer(
    decompress_into: Callable[..., int], data: Bytes, uncompressed_bytes: int
) -> Bytes:
    """Decompress into a buffer; cramjam raises if the data need a larger one."""
    buffer = np.empty(uncompressed_bytes, np.uint8)
    return buffer[: decompress_into(data, buffer)]
