"""Types of the values in a facility file, with their checks."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bphcoffea.redaction import has_secrets

#: Variables whose value is a secret itself, not the path of a file that contains one.
_SECRET = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|SECRET_ACCESS_KEY|API_KEY)$", re.IGNORECASE)


def in_bytes(size: str) -> int:
    """Return a size with its unit, such as ``2GB``, in bytes.

    Raises
    ------
    ValueError
        If it is not a size.
    """
    from dask.utils import parse_bytes

    found = parse_bytes(size) if re.fullmatch(r"\d+(\.\d+)?\s*[kMGT]i?B", size) else 0
    if not found:
        raise ValueError(f'\'{size}\' is not a size; write it as "2GB" or "500MiB"')
    return int(found)


def _size(value: str) -> str:
    in_bytes(value)
    return value


def _walltime(value: object) -> object:
    # without quotes it is a TOML time, with the same meaning
    value = value.isoformat() if isinstance(value, time) else value
    if isinstance(value, str) and (
        not re.fullmatch(r"(\d+-)?\d+:[0-5]\d:[0-5]\d", value) or not re.search("[1-9]", value)
    ):
        raise ValueError(f'\'{value}\' is not a time; write it as "HH:MM:SS" or "D-HH:MM:SS"')
    return value


def _shell_line(value: str) -> str:
    if "\n" in value:
        raise ValueError("contains a line break; write one string per line")
    return value


def _variable(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _variable_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", value, re.ASCII):
        raise ValueError(f"'{value}' is not a variable name")
    if _SECRET.search(value):
        raise ValueError(
            f"'{value}' looks like a secret, which anyone could read in the job; "
            "remove it, or give the path of a file that contains it"
        )
    return value


def _address(value: str) -> str:
    if not re.fullmatch(r"((tcp|tls|wss?)://)?(\[[^\]\s]+\]|[^\s:/\[\]]+):\d+(/\S*)?", value):
        raise ValueError(f"'{value}' is not a scheduler address; write it as \"tcp://host:8786\"")
    return value


def _redirector(value: str) -> str:
    match = re.fullmatch(r"(x?roots?://[^/\s]+)/*(/.*?)?/*", value)
    if match is None:
        raise ValueError(f"'{value}' is not a redirector; write it as \"root://host//\"")
    return f"{match[1]}/{match[2] or ''}/"


def _place(value: str) -> str:
    if has_secrets(value):
        raise ValueError("contains a password or token, which anyone could read; remove it")
    if "://" not in value and not value.startswith("/"):
        raise ValueError(
            f"'{value}' is neither a URL nor an absolute path; write a URL such as "
            '"root://host//store/user/me", or the full path of a folder that workers share'
        )
    return value


Size = Annotated[str, AfterValidator(_size)]
Text = Annotated[str, Field(min_length=1)]
Whole = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, gt=0)]
Place = Annotated[str, AfterValidator(_place)]
Boolean = Annotated[bool, Field(strict=True)]
Walltime = Annotated[str, BeforeValidator(_walltime)]
ShellLine = Annotated[str, AfterValidator(_shell_line)]
Address = Annotated[str, AfterValidator(_address)]
Redirector = Annotated[str, AfterValidator(_redirector)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
VariableValue = Annotated[str, BeforeValidator(_variable), AfterValidator(_shell_line)]
Port = Annotated[int, Field(strict=True, ge=0, le=65535)]
