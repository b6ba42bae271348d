"""Writing to WebDAV servers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, ClassVar
from urllib.parse import quote, unquote, urlsplit

from typing_extensions import override

from bphcoffea.errors import causes
from bphcoffea.storage.credentials import authorities, authorization, grid_proxy, token_has_expired
from bphcoffea.storage.targets import BLOCK, Fault, Target, TransferError, by_words

if TYPE_CHECKING:
    import requests


class WebDAV(Target):
    """A WebDAV server.

    TLS connections use the grid proxy (:func:`grid_proxy`), trust :func:`authorities`, and send the
    bearer token, unless the URL contains a password.
    """

    SCHEMES: ClassVar[Mapping[str, str]] = {
        "davs": "https",
        "https": "https",
        "dav": "http",
        "http": "http",
    }
    _STATUSES: ClassVar[Mapping[int, Fault]] = {
        401: Fault.REFUSED,
        403: Fault.DENIED,
        404: Fault.MISSING,
        405: Fault.NO_WEBDAV,
        501: Fault.NO_WEBDAV,
        507: Fault.FULL,
    }

    def __init__(self, url: str, timeout_s: int) -> None:
        parts = urlsplit(url, allow_fragments=False)
        scheme, host = self.SCHEMES[parts.scheme], parts.netloc.rpartition("@")[2]
        self._server = f"{scheme}://{parts.netloc}"
        self._destination = f"{scheme}://{host}"
        self._named = f"{parts.scheme}://{host}"
        self.path = f"/{unquote(parts.path).strip('/')}"
        self._timeout = timeout_s
        secure = scheme == "https"
        self._proxy = grid_proxy() if secure else None
        self._authorities = authorities() if secure else None
        self._takes_token = secure and "@" not in parts.netloc

    @override
    def shown(self, path: str) -> str:
        return f"{self._named}{quote(path)}"

    @override
    def make_folder(self, path: str) -> None:
        if path == "/" or self._status("PROPFIND", path, Depth="0") == 207:
            return
        if self._status("MKCOL", path) in (404, 409):
            self.make_folder(str(PurePosixPath(path).parent))
            with self._answer("MKCOL", path):
                pass

    @override
    def write(self, source: Path, path: str) -> None:
        with source.open("rb") as file:
            # an empty stream would be sent in chunks, which not every server accepts
            content = file if source.stat().st_size else b""
            with self._answer("PUT", path, content):
                pass

    @override
    def read(self, path: str) -> Iterator[bytes]:
        with self._answer("GET", path) as answer, self._faults():
            yield from answer.iter_content(BLOCK)

    @override
    def size(self, path: str) -> int | None:
        with self._answer("HEAD", path) as answer:
            length = answer.headers.get("Content-Length")
        return int(length) if length else None

    @override
    def checksum(self, path: str) -> int | None:
        # answers of servers that do not support checksums
        unsupported = (400, 403, 404, 405, 500, 501)
        with self._answer("HEAD", path, allowed=unsupported, Want_Digest="adler32") as answer:
            digests = answer.headers.get("Digest", "")
        for digest in digests.split(","):
            kind, _, value = digest.strip().partition("=")
            if kind.lower() == "adler32":
                return int(value, 16)
        return None

    @override
    def rename(self, old: str, new: str) -> None:
        self._move(old, quote(new))
        if quote(new) == new or self._status("HEAD", new) != 404:
            return
        # XRootD 5.5 does not unquote the new name, so the file now has the quoted name
        self._move(quote(new), new)
        folder = str(PurePosixPath(new).parent)
        if quote(folder) != folder:
            with contextlib.suppress(TransferError):
                self.remove(quote(folder))

    def _move(self, old: str, destination: str) -> None:
        # as bytes, because headers of type str are restricted to Latin-1
        place = f"{self._destination}{destination}".encode()
        with self._answer("MOVE", old, Destination=place, Overwrite="T"):
            pass

    @override
    def remove(self, path: str) -> None:
        self._status("DELETE", path)

    def _status(self, method: str, path: str, **headers: str) -> int:
        """Return the HTTP status of an answer; some errors are left to the caller."""
        allowed = {
            "PROPFIND": (403, 404, 405, 501),
            "MKCOL": (404, 405, 409),
            "DELETE": (404,),
            "HEAD": (404,),
        }
        with self._answer(method, path, None, allowed[method], **headers) as answer:
            return answer.status_code

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        content: BinaryIO | bytes | None = None,
        allowed: Iterable[int] = (),
        **headers: str | bytes,
    ) -> Iterator[requests.Response]:
        import requests

        token = authorization() if self._takes_token else None

        def with_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = str(token)
            return request

        with self._faults():
            # a new connection per request: a server may have closed an old one
            answer = requests.request(
                method,
                f"{self._server}{quote(path)}",
                data=content,
                headers={name.replace("_", "-"): value for name, value in headers.items()}
                | {"Accept-Encoding": "identity"},
                timeout=self._timeout,
                stream=True,
                auth=with_token if token else None,
                cert=self._proxy,
                verify=self._authorities or True,
            )
        with answer:
            if not answer.ok and answer.status_code not in allowed:
                with self._faults():
                    text = "" if "html" in answer.headers.get("Content-Type", "") else answer.text
                fault = by_words(text) or self._STATUSES.get(answer.status_code, Fault.OTHER)
                if self._takes_token and answer.status_code in (401, 403) and token_has_expired():
                    fault = Fault.EXPIRED
                raise TransferError(fault, f"HTTP {answer.status_code} {text or answer.reason}")
            yield answer

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        import requests

        try:
            yield
        except requests.exceptions.SSLError as error:
            raise TransferError(Fault.UNTRUSTED) from error
        except requests.RequestException as error:
            if isinstance(error.request, requests.PreparedRequest):  # which Dask would send on
                error.request.headers.pop("Authorization", None)
            raise TransferError(_silence(error)) from error


def _silence(error: BaseException) -> Fault:
    """Return the fault behind a missing answer over HTTP, from the causes of an exception."""
    import requests
    import urllib3.exceptions

    for cause in causes(error):
        if isinstance(cause, urllib3.exceptions.NameResolutionError):
            return Fault.NO_HOST
        if isinstance(cause, urllib3.exceptions.NewConnectionError | TimeoutError):
            return Fault.SILENT
    return Fault.SILENT if isinstance(error, requests.Timeout) else Fault.BROKEN
