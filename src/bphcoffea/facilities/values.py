"""Kinds of values in the file of a facility, and how each is checked."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any

from dask.utils import parse_bytes
from pydantic import AfterValidator, BeforeValidator, Field

from bphcoffea.redaction import has_secrets

#: Variables whose value is a secret rather than the path of one.
_SECRET = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|SECRET_ACCESS_KEY|API_KEY)$", re.IGNORECASE)


def _size(value: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?\s*[kMGT]i?B", value) or not parse_bytes(value):
        raise ValueError(f'\'{value}\' is no size; write it as "2GB" or "500MiB"')
    return value


def _walltime(value: Any) -> Any:
    # without quotes it is a time of TOML, and its meaning is as clear
    value = value.isoformat() if isinstance(value, time) else value
    if isinstance(value, str) and (
        not re.fullmatch(r"(\d+-)?\d+:[0-5]\d:[0-5]\d", value) or not re.search("[1-9]", value)
    ):
        raise ValueError(f'\'{value}\' is no time; write it as "HH:MM:SS" or "D-HH:MM:SS"')
    return value


def _shell_line(value: str) -> str:
    if "\n" in value:
        raise ValueError("holds a line break; write one string a line")
    return value


def _variable(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _variable_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", value, re.ASCII):
        raise ValueError(f"'{value}' is no name of a variable")
    if _SECRET.search(value):
        raise ValueError(
            f"'{value}' looks like a secret, which anyone could read in the job; "
            "leave it out, or give the path of a file that holds it"
        )
    return value


def _address(value: str) -> str:
    if not re.fullmatch(r"((tcp|tls|wss?)://)?(\[[^\]\s]+\]|[^\s:/\[\]]+):\d+(/\S*)?", value):
        raise ValueError(f"'{value}' is no address of a scheduler; write it as \"tcp://host:8786\"")
    return value


def _redirector(value: str) -> str:
    match = re.fullmatch(r"(x?roots?://[^/\s]+)/*(/.*?)?/*", value)
    if match is None:
        raise ValueError(f"'{value}' is no redirector; write it as \"root://host//\"")
    return f"{match[1]}/{match[2] or ''}/"


def _place(value: str) -> str:
    if has_secrets(value):
        raise ValueError("holds a password or token, which anyone could read; leave it out")
    if "://" not in value and not value.startswith("/"):
        raise ValueError(
            f"'{value}' is no place that workers know; write a URL such as "
            '"root://host//store/user/me", or the whole path of a folder that they share'
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
