"""Older JSON files of corrections, and the correctionlib files that are written."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable
from pathlib import Path

from correctionlib.schemav2 import Correction, CorrectionSet

from bphcoffea.corrections.making.schema1 import upgrade_schema_1
from bphcoffea.corrections.making.sources import read_json
from bphcoffea.corrections.making.tag_and_probe import from_tag_and_probe_json
from bphcoffea.errors import CorrectionsError
from bphcoffea.storage import write_whole


def from_json(path: str | Path) -> list[Correction]:
    """Convert an older JSON: correctionlib's schema 1, or the Muon POG's tag and probe.

    Raises
    ------
    CorrectionsError
        If it cannot be read, or is neither.
    """
    content = read_json(path)
    if not isinstance(content, dict) or "schema_version" not in content:
        return from_tag_and_probe_json(path)
    try:
        return upgrade_schema_1(content).corrections
    except CorrectionsError as error:
        raise CorrectionsError(f"{path}: {error}") from None


def write(corrections: Iterable[Correction], path: str | Path, description: str) -> Path:
    """Write a correctionlib file, whole or not at all.

    The same corrections give the same bytes.

    Parameters
    ----------
    corrections
        Corrections of different names.
    path
        A ``.json`` or ``.json.gz``; its folder is made if it does not exist.
    description
        Description of the corrections, for people.

    Raises
    ------
    CorrectionsError
        If the path has another suffix or cannot be written, if there is no correction, or if two
        have the same name.
    """
    target = Path(path)
    if not target.name.endswith((".json", ".json.gz")):
        raise CorrectionsError(f"{target}: the name must end with .json or .json.gz")
    listed = list(corrections)
    names = [correction.name for correction in listed]
    if not names:
        raise CorrectionsError(f"{target}: there is no correction to write")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise CorrectionsError(
            f"{target}: corrections of the same name ({', '.join(doubled)}); give each its own"
        )
    content = CorrectionSet(schema_version=2, description=description, corrections=listed)
    encoded = (content.model_dump_json(exclude_unset=True) + "\n").encode()
    if target.suffix == ".gz":
        encoded = _compressed(encoded)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return write_whole(target, encoded)
    except OSError as error:
        raise CorrectionsError(f"{target}: cannot be written ({error.strerror})") from None


def _compressed(content: bytes) -> bytes:
    """Compress without a name or time in the file, so that the bytes are reproducible."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()
