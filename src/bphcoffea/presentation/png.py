"""Writing PNG files of figures fast.

Figures are flat areas, so that choosing filters for each line takes most of the time of a usual
writer, and makes the files no smaller.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Bits per channel, colours without transparency, and the only methods there are.
_FORMAT: Final = (8, 2, 0, 0, 0)
_METRES_PER_INCH: Final = 0.0254


def write_png(path: Path, pixels: npt.NDArray[np.uint8], dpi: float) -> None:
    """Write an image as PNG [W3C, Portable Network Graphics (PNG) Specification].

    Parameters
    ----------
    path
        Path of the file.
    pixels
        Red, green, blue and opacity, of which the last is ignored; shape (rows, columns, 4).
    dpi
        Pixels per inch, which the file states.
    """
    rows, columns, _ = pixels.shape
    lines = np.zeros((rows, 1 + 3 * columns), dtype=np.uint8)  # the first byte: no filter
    for channel in range(3):
        lines[:, 1 + channel :: 3] = pixels[:, :, channel]
    per_metre = round(dpi / _METRES_PER_INCH)
    chunks = {
        b"IHDR": struct.pack(">II5B", columns, rows, *_FORMAT),
        b"pHYs": struct.pack(">IIB", per_metre, per_metre, 1),
        b"IDAT": zlib.compress(lines.data, level=1),
        b"IEND": b"",
    }
    parts = [_SIGNATURE]
    for kind, content in chunks.items():
        checksum = zlib.crc32(content, zlib.crc32(kind))
        parts += [struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)]
    path.write_bytes(b"".join(parts))
