"""Interpreters that have a wheel of the project, and not its checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path


def installed(folder: Path, version: str | None = None) -> Path:
    """Build a wheel and install it into an environment of its own.

    Parameters
    ----------
    folder
        Where the environment goes; it is made.
    version
        What the installed package says it is, instead of what it is.

    Returns
    -------
    The interpreter.
    """
    folder.mkdir()
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    venv.create(folder / "venv", symlinks=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    if version:
        (metadata,) = packages.glob("bphcoffea-*/METADATA")
        lines = metadata.read_text().splitlines(keepends=True)
        told = (f"Version: {version}\n" if x.startswith("Version:") else x for x in lines)
        metadata.write_text("".join(told))
    # what the project builds upon; an editable installation that lies there is not followed
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin" / "python"
