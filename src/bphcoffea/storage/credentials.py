"""Credentials for storage servers: grid proxy, bearer token, and certificates of authorities."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bphcoffea.errors import FacilityError

_RENEW: Final = "get a new one, for example with htgettoken or oidc-token"
#: Permissions of everyone but the owner.
_OTHERS: Final = 0o077
#: Characters of a bearer token (RFC 6750, section 2.1).
_TOKEN: Final = re.compile(r"[\w.~+/-]+=*", re.ASCII)


@dataclass(frozen=True)
class BearerToken:
    """A WLCG token, SciToken or macaroon.

    Attributes
    ----------
    content
        The token itself.
    source
        File or variable in which it was found.
    """

    content: str = field(repr=False)
    source: str

    def __post_init__(self) -> None:
        # a client of HTTP would repeat an invalid header in its error
        if not _TOKEN.fullmatch(self.content):
            raise FacilityError(f"{self.source}: contains no bearer token; {_RENEW}")

    def expires(self) -> float | None:
        """Return the Unix time at which it expires, s; None if unknown, as for macaroons."""
        try:
            payload = self.content.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            return float(claims["exp"])
        except (IndexError, KeyError, TypeError, ValueError):
            return None

    def has_expired(self) -> bool:
        """Return whether it has expired, as far as is known."""
        end = self.expires()
        return end is not None and end <= time.time()


def bearer_token() -> BearerToken | None:
    """Find the user's token by the rules of WLCG Bearer Token Discovery; None if there is none.

    It is read anew each time, because other programs renew it in its file.

    Raises
    ------
    FacilityError
        If ``BEARER_TOKEN`` is no token, or the file that ``BEARER_TOKEN_FILE`` names contains none,
        cannot be read, or can be read by others.

    References
    ----------
    WLCG Bearer Token Discovery, https://doi.org/10.5281/zenodo.3937438
    """
    if content := os.environ.get("BEARER_TOKEN", "").strip():
        return BearerToken(content, "BEARER_TOKEN")
    if named := os.environ.get("BEARER_TOKEN_FILE"):
        return _token_in(Path(named))
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), "/tmp"):  # noqa: S108
        path = Path(folder or "/nowhere", f"bt_u{os.geteuid()}")
        with contextlib.suppress(FacilityError, OSError):
            if path.stat().st_uid == os.geteuid():  # everyone can write to /tmp
                return _token_in(path)
    return None


def _token_in(path: Path) -> BearerToken:
    content = private_content(path, "bearer token", _RENEW)
    return BearerToken(content.decode(errors="replace").strip(), str(path))


def authorization() -> str | None:
    """Return the header with which HTTP requests show the token; None if it is missing or expired.

    Raises
    ------
    FacilityError
        As :func:`bearer_token`.
    """
    token = bearer_token()
    return None if token is None or token.has_expired() else f"Bearer {token.content}"


def token_has_expired() -> bool:
    """Return whether the user has a bearer token that has expired."""
    token = bearer_token()
    return token is not None and token.has_expired()


def private_content(path: Path, kind: str, remedy: str) -> bytes:
    """Return the content of a file with a credential.

    Parameters
    ----------
    path
        The file.
    kind, remedy
        What it contains, and how to get a new one, for messages.

    Raises
    ------
    FacilityError
        If it is missing, or others may read it, which the clients of servers refuse.
    """
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise FacilityError(f"{path}: {kind} cannot be read ({error.strerror}); {remedy}") from None
    if mode & _OTHERS:
        raise FacilityError(f"{path}: others may read this {kind}; run chmod 600")
    return content


def usual_proxy() -> Path:
    """Return the path at which programs of the grid write and look for the user's proxy."""
    return Path(f"/tmp/x509up_u{os.getuid()}")  # noqa: S108


def grid_proxy() -> str | None:
    """Return the file of the grid proxy: X509_USER_PROXY, or the usual one; None if missing.

    Raises
    ------
    FacilityError
        If the file that X509_USER_PROXY names does not exist.
    """
    usual = usual_proxy()
    return _file_of("X509_USER_PROXY") or (str(usual) if usual.exists() else None)


def authorities() -> str | None:
    """Return the folder of trusted certificates X509_CERT_DIR; None if it is not set.

    Raises
    ------
    FacilityError
        If it does not exist.
    """
    return _file_of("X509_CERT_DIR")


def _file_of(variable: str) -> str | None:
    path = os.environ.get(variable)
    if path and not Path(path).exists():
        raise FacilityError(f"{path}: does not exist; correct or unset {variable}")
    return path or None
