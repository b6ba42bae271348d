"""Credentials for storage servers: grid proxy, bearer token, and certificates of authorities."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import re
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from typing_extensions import override

from bphcoffea.errors import FacilityError
from bphcoffea.local_files import regular

#: Permissions of everyone but the owner.
_OTHERS: Final = 0o077
#: Characters of a bearer token (RFC 6750, section 2.1).
_TOKEN: Final = re.compile(r"[\w.~+/-]+=*", re.ASCII)


@dataclass(frozen=True)
class Credential(ABC):
    """What grants access to servers, and can be stored in a file.

    Attributes
    ----------
    source
        Its file, or the variable that contains it.
    KIND
        Its name in messages.
    REMEDY
        How to get a new one.
    VARIABLES
        Environment variables that select one; the last contains the path of its file.
    """

    KIND: ClassVar[str]
    REMEDY: ClassVar[str]
    VARIABLES: ClassVar[tuple[str, ...]]

    source: Path | str

    @abstractmethod
    def read(self) -> bytes:
        """Return what it consists of now; raise FacilityError if its file cannot be used."""

    @abstractmethod
    def expires(self) -> float:
        """Return the Unix time at which it expires, s; infinity if it does not say."""

    def remaining_s(self) -> float:
        """Return the remaining time until it expires, s; negative if it has expired."""
        return self.expires() - time.time()

    @classmethod
    def _content(cls, path: Path) -> bytes:
        try:
            content, mode = regular(path).read_bytes(), path.stat().st_mode
        except OSError as error:
            raise FacilityError(
                f"{path}: {cls.KIND} cannot be read ({error.strerror}); {cls.REMEDY}"
            ) from None
        if mode & _OTHERS:  # the clients of servers refuse it
            raise FacilityError(f"{path}: others may read this {cls.KIND}; run chmod 600")
        return content


@dataclass(frozen=True)
class Proxy(Credential):
    """An X.509 proxy: a file with the certificate, its key, and the chain that signed it."""

    KIND = "grid proxy"
    REMEDY = "make one with: voms-proxy-init --voms cms --valid 192:00"
    VARIABLES = ("X509_USER_PROXY",)

    @classmethod
    def find(cls) -> Proxy | None:
        """Return the proxy at ``X509_USER_PROXY``, or ``/tmp/x509up_u<uid>``; None if missing."""
        named = os.environ.get("X509_USER_PROXY")
        path = Path(named) if named else usual_proxy()
        return cls(path) if named or path.exists() else None

    @override
    def read(self) -> bytes:
        return self._content(Path(self.source))

    @override
    def expires(self) -> float:
        """Return the Unix time at which the first certificate of its chain expires, s.

        Raises
        ------
        FacilityError
            If the file cannot be read, or contains no certificate.
        """
        from cryptography import x509

        try:
            chain = x509.load_pem_x509_certificates(self.read())
        except ValueError:
            raise FacilityError(f"{self.source}: contains no grid proxy; {self.REMEDY}") from None
        return min(certificate.not_valid_after_utc for certificate in chain).timestamp()


@dataclass(frozen=True)
class BearerToken(Credential):
    """A WLCG token, SciToken or macaroon.

    Attributes
    ----------
    content
        The token itself.
    """

    content: str = field(repr=False)
    KIND = "bearer token"
    REMEDY = "get a new one, for example with htgettoken or oidc-token"
    VARIABLES = ("BEARER_TOKEN", "BEARER_TOKEN_FILE")

    def __post_init__(self) -> None:
        # a client of HTTP would repeat an invalid header in its error
        if not _TOKEN.fullmatch(self.content):
            raise FacilityError(f"{self.source}: contains no {self.KIND}; {self.REMEDY}")

    @classmethod
    def find(cls) -> BearerToken | None:
        """Find the user's token by the rules of WLCG Bearer Token Discovery; None if missing.

        Other programs renew it in its file, so it is to be found anew for each use.

        Raises
        ------
        FacilityError
            If ``BEARER_TOKEN`` is no token, or the file that ``BEARER_TOKEN_FILE`` names contains
            none, cannot be read, or can be read by others.

        References
        ----------
        WLCG Bearer Token Discovery, https://doi.org/10.5281/zenodo.3937438
        """
        if content := os.environ.get("BEARER_TOKEN", "").strip():
            return cls("BEARER_TOKEN", content)
        if named := os.environ.get("BEARER_TOKEN_FILE"):
            return cls._in(Path(named))
        for folder in filter(None, (os.environ.get("XDG_RUNTIME_DIR"), "/tmp")):  # noqa: S108
            path = Path(folder, f"bt_u{os.geteuid()}")
            with contextlib.suppress(FacilityError, OSError):
                if path.stat().st_uid == os.geteuid():  # everyone can write to /tmp
                    return cls._in(path)
        return None

    @classmethod
    def _in(cls, path: Path) -> BearerToken:
        return cls(path, cls._content(path).decode(errors="replace").strip())

    @override
    def read(self) -> bytes:
        return (self.find() or self).content.encode()

    @override
    def expires(self) -> float:
        """Return the ``exp`` of a JSON Web Token, s; infinity for others, such as macaroons."""
        try:
            payload = self.content.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            end = float(claims["exp"])
        except (IndexError, KeyError, TypeError, ValueError, OverflowError):
            return math.inf
        return end if math.isfinite(end) else math.inf


def authorization() -> str | None:
    """Return the header with which HTTP requests show the token; None if it is missing or expired.

    Raises
    ------
    FacilityError
        As :meth:`BearerToken.find`.
    """
    token = BearerToken.find()
    return f"Bearer {token.content}" if token and token.remaining_s() > 0 else None


def token_has_expired() -> bool:
    """Return whether the user has a bearer token that has expired."""
    token = BearerToken.find()
    return token is not None and token.remaining_s() <= 0


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
