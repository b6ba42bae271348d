"""Fast decompression for uproot that never expands a basket beyond a limit.

The uncompressed sizes in the headers of a file may be wrong. uproot reserves the size in the header
of a basket, and decompresses a block to its end whatever its header says: a block of 16 MB may
expand to gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import cramjam
import deflate
import numpy as np
import numpy.typing as npt
import uproot
import xxhash

from bphcoffea.size_limits import LimitExceededError, basket_remedy

Bytes: TypeAlias = npt.NDArray[np.uint8]
Content: TypeAlias = bytes | bytearray | memoryview


#: Size of the header of a block: algorithm, method, and two sizes of three bytes.
_HEADER = 9


def decompress_within(limit: int) -> None:
    """Make uproot refuse, in this process, to decompress a basket to more than `limit` bytes.

    zlib is decompressed by libdeflate, nearly three times as fast as by the standard library. These
    private objects are replaced because uproot does not decompress with the documented
    ``uproot.ZLIB``.
    """
    for name, decompress in (
        ("ZLIB", _zlib),
        ("LZMA", _lzma),
        ("ZSTD", _zstd),
        ("LZ4", _lz4),
    ):
        getattr(uproot.compression, f"_decompress_{name}").decompress = decompress

    def check(uncompressed_bytes: int, **_: object) -> None:
        if uncompressed_bytes > limit:
            raise LimitExceededError(
                f"a basket expands to {uncompressed_bytes / 1e6:.4g} MB; {basket_remedy(limit)}"
            )

    uproot.compression.decompress.hook_before_block = check
    uproot.compression.decompress.hook_after_block = _check_filled


def decompressed(blocks: memoryview, size: int) -> Content:
    """Return the content of the compressed blocks of a basket.

    Parameters
    ----------
    blocks
        The blocks, each with its header.
    size
        Size of their content, bytes.

    Raises
    ------
    ValueError
        If the blocks are damaged, hold another number of bytes, or are compressed in an unknown
        way.
    """
    parts: list[Content] = []
    left = size
    while len(blocks) > _HEADER:
        stored = int.from_bytes(blocks[3:6], "little")
        expanded = int.from_bytes(blocks[6:_HEADER], "little")
        block, decompress = blocks[_HEADER : _HEADER + stored], _ALGORITHMS.get(bytes(blocks[:2]))
        left -= expanded
        if decompress is None or len(block) != stored or left < 0:
            raise ValueError("a compressed block is damaged")
        if decompress is _lz4:
            block = _checked(block)
        content = decompress(block, expanded)
        if len(content) != expanded:
            raise ValueError(f"a block holds {len(content)} of {expanded} bytes")
        parts.append(content)
        blocks = blocks[_HEADER + stored :]
    if left or len(blocks):
        raise ValueError(f"the blocks of a basket hold {size - left} of {size} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)


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


def _checked(block: memoryview) -> memoryview:
    """Return an LZ4 block without the checksum in front of it.

    Raises
    ------
    ValueError
        If the checksum is wrong.
    """
    if int.from_bytes(block[:8], "big") != xxhash.xxh64_intdigest(block[8:]):
        raise ValueError("the checksum of a compressed block is wrong")
    return block[8:]


def _zlib(data: Bytes | memoryview, uncompressed_bytes: int) -> Content:
    try:
        content: Content = deflate.zlib_decompress(data, uncompressed_bytes)
    except deflate.DeflateError:
        raise ValueError("a compressed block is damaged, truncated or too long") from None
    return content


def _into_buffer(
    decompress_into: Callable[..., int], data: Bytes | memoryview, uncompressed_bytes: int
) -> memoryview:
    """Decompress into a buffer; cramjam raises if the data need a larger one."""
    buffer = np.empty(uncompressed_bytes, np.uint8)
    try:
        return buffer.data[: decompress_into(data, buffer)]
    except cramjam.DecompressionError as error:
        raise ValueError(f"a compressed block is damaged or too long: {error}") from None


_lzma = partial(_into_buffer, cramjam.xz.decompress_into)
_zstd = partial(_into_buffer, cramjam.zstd.decompress_into)
_lz4 = partial(_into_buffer, cramjam.lz4.decompress_block_into)
_ALGORITHMS: dict[bytes, Callable[[memoryview, int], Content]] = {
    b"ZL": _zlib,
    b"XZ": _lzma,
    b"ZS": _zstd,
    b"L4": _lz4,
}
