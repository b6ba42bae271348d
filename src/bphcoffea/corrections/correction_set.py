"""Correctionlib files: the text of each correction, as it stands in the file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from bphcoffea.documents import read_bytes
from bphcoffea.errors import CorrectionsError, alternatives


@dataclass(frozen=True)
class CorrectionSet:
    """Content of a correctionlib file.

    Attributes
    ----------
    sha256
        Hash of the file.
    corrections
        Text of each correction, by name.
    compound
        Text of each compound correction, by name.
    """

    sha256: str
    corrections: dict[str, str]
    compound: dict[str, str] = field(default_factory=dict)


def read_correction_set(path: Path) -> CorrectionSet:
    """Read a correctionlib file.

    Raises
    ------
    CorrectionsError
        If it is missing, unreadable, or no correctionlib file of schema version 2.
    """
    try:
        content = read_bytes(path, "correction file", CorrectionsError)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except CorrectionsError as error:
        missing = str(error).endswith("no such correction file")
        raise CorrectionsError(f"{error}{_beside(path) if missing else ''}") from None
    try:
        version, corrections, compound = _split(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise CorrectionsError(
            f"{path}: not a correctionlib file ({reason}); make one of an older JSON, or of "
            "histograms, with: bphcoffea corrections convert"
        ) from None
    if version != 2:
        hint = f"; make one with: bphcoffea corrections convert {path} -o NEW.json.gz"
        raise CorrectionsError(
            f"{path}: schema version {version} of correctionlib, which reads version 2 only"
            f"{hint if version == 1 else ''}"
        )
    return CorrectionSet(sha256, corrections, compound)


def _beside(path: Path) -> str:
    try:
        names = sorted(other.name for other in path.parent.iterdir() if ".json" in other.name)
    except OSError:
        return f"; nor is there a folder {path.parent}"
    return alternatives(path.name, names, "beside it") if names else ""


def _split(text: str) -> tuple[int, dict[str, str], dict[str, str]]:
    """Return the version, and the text of each correction and compound correction by name."""
    if not text.strip():
        raise ValueError("it is empty")
    decoder = json.JSONDecoder()
    version: object = None
    texts: dict[str, dict[str, str]] = {}
    position = _skip(text, 0)
    if text[position] != "{":
        raise ValueError("expected an object")
    position = _skip(text, position + 1)
    while text[position] != "}":
        key, position = decoder.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] != ":":
            raise ValueError(f"expected a colon after {key!r:.40}")
        position = _skip(text, position + 1)
        if key in ("corrections", "compound_corrections") and text[position] == "[":
            texts[key], position = _by_name(decoder, text, position)
        else:
            value, position = decoder.raw_decode(text, position)
            if key == "corrections":
                raise ValueError("corrections: expected a list")
            version = value if key == "schema_version" else version
        position = _skip(text, position, ",")
    if text[position + 1 :].strip():
        raise ValueError("something follows its end")
    if not isinstance(version, int) or "corrections" not in texts:
        raise ValueError("it has no schema_version, or no corrections")
    return version, texts["corrections"], texts.get("compound_corrections", {})


def _by_name(decoder: json.JSONDecoder, text: str, position: int) -> tuple[dict[str, str], int]:
    """Return the text of each object in a JSON array by its name, and where the array ends."""
    texts: dict[str, str] = {}
    position = _skip(text, position + 1)
    while text[position] != "]":
        content, stop = decoder.raw_decode(text, position)
        name = content.get("name") if isinstance(content, dict) else None
        if not isinstance(name, str):
            raise ValueError("a correction has no name")
        if name in texts:
            raise ValueError(f"two corrections are called '{name}'")
        texts[name] = text[position:stop]
        position = _skip(text, stop, ",")
    return texts, position + 1


def _skip(text: str, position: int, also: str = "") -> int:
    while position < len(text) and (text[position].isspace() or text[position] in also):
        position += 1
    if position == len(text):
        raise ValueError("it ends early")
    return position
