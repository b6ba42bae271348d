"""A small disk, which can be filled or become read-only.

It needs root, and a system that lets root mount a tmpfs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


class SmallDisk:
    """A tmpfs.

    Parameters
    ----------
    path
        Where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave: int = 0) -> Path:
        """Fill it with a file, but for some bytes; return the file."""
        filler = self.path / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.truncate(filler, max(filler.stat().st_size - leave, 0))
        return filler

    def set_read_only(self, *, read_only: bool = True) -> None:
        """Let nobody write to it any more, or again."""
        subprocess.run(
            ["mount", "-o", f"remount,{'ro' if read_only else 'rw'}", self.path], check=True
        )


@contextlib.contextmanager
def small_disk(path: Path, size: str = "4m") -> Iterator[SmallDisk]:
    """Mount a small disk.

    Raises
    ------
    OSError
        If that is not allowed here.
    """
    path.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise OSError("only root can mount a small disk, where the system allows it")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
