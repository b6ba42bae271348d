"""How uproot decompresses here: quickly, and never to more than a limit.

Sizes are written in front of what is compressed, where they may be wrong. uproot reserves the size
in the header of a basket, and its decompressors go on to the end of a block, whatever its header
says: a block of 16 MB may expand to gigabytes.
"""

from __future__ import annotations

from typing import Any

import cramjam
import numpy as np
import uproot
from isal import isal_zlib

from bphcoffea.size_limits import LimitExceededError, basket_remedy


def decompress_within(limit: int) -> None:
    """Let uproot, in this process, decompress no basket that is larger than a limit, in bytes.

    ISA-L decompresses zlib, twice as fast as the standard library. The documented ``uproot.ZLIB``
    is not what uproot decompresses with, these objects are.
    """
    uproot.compression._decompress_ZLIB.decompress = _zlib
    uproot.compression._decompress_LZMA.decompress = _lzma
    uproot.compression._decompress_ZSTD.decompress = _zstd
    uproot.compression._decompress_LZ4.decompress = _lz4

    def check(uncompressed_bytes: int, **_: Any) -> None:
        if uncompressed_bytes > limit:
            raise LimitExceededError(
                f"a basket expands to {uncompressed_bytes / 1e6:.4g} MB; {basket_remedy(limit)}"
            )

    uproot.compression.decompress.hook_before_block = check
    uproot.compression.decompress.hook_after_block = _check_filled


def _check_filled(
    cursor: Any, start: Any, compressed_bytes: int, filled: int, uncompressed_bytes: int, **_: Any
) -> None:
    """Fail after the last block of a basket if it is not full: the rest would be any number."""
    if cursor.displacement(start) >= compressed_bytes and filled != uncompressed_bytes:
        raise ValueError(f"the blocks of a basket hold {filled} of {uncompressed_bytes} bytes")


def _zlib(data: Any, uncompressed_bytes: int) -> bytes:
    decompressor = isal_zlib.decompressobj()
    # a byte more than expected, so that uproot sees where there is more
    content: bytes = decompressor.decompress(data, uncompressed_bytes + 1)
    if not decompressor.eof and len(content) <= uncompressed_bytes:
        raise ValueError("a compressed block is cut off")
    return content


def _lzma(data: Any, uncompressed_bytes: int) -> Any:
    return _into_buffer(cramjam.xz.decompress_into, data, uncompressed_bytes)


def _zstd(data: Any, uncompressed_bytes: int) -> Any:
    return _into_buffer(cramjam.zstd.decompress_into, data, uncompressed_bytes)


def _lz4(data: Any, uncompressed_bytes: int) -> Any:
    return _into_buffer(cramjam.lz4.decompress_block_into, data, uncompressed_bytes)


def _into_buffer(decompress_into: Any, data: Any, size: int) -> Any:
    """Decompress into a buffer of that size; it raises if there is more."""
    buffer = np.empty(size, np.uint8)
    return buffer[: decompress_into(data, buffer)]
