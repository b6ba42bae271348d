"""Where the files are that come with the package: analyses, filesets, facilities."""

from __future__ import annotations

from pathlib import Path


def shipped_folder(kind: str) -> Path:
    """Return the folder of shipped files, in the installed package or in a checkout.

    Parameters
    ----------
    kind
        ``processors``, ``datasets`` or ``facilities``.
    """
    package = Path(__file__).absolute().parent
    installed = package / "_shipped" / kind
    return installed if installed.is_dir() else package.parents[1] / kind


def shipped_analyses() -> dict[str, Path]:
    """Return the files of the shipped analyses by name."""
    return {path.stem: path for path in sorted(shipped_folder("processors").glob("[!_]*.py"))}
