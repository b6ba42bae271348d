"""Reading from WebDAV and web servers, and listing their folders, as a file system of fsspec.

fsspec's own file system takes every folder of a web server for a file, every failure for a missing
file, and shows no grid proxy.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import re
import ssl
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

import aiohttp
import yarl
from fsspec.asyn import sync_wrapper
from fsspec.implementations.http import HTTPFileSystem
from typing_extensions import override

from bphcoffea.redaction import has_secrets
from bphcoffea.storage.credentials import authorities, authorization, grid_proxy, token_has_expired
from bphcoffea.storage.servers import TIMEOUT
from bphcoffea.storage.webdav import WebDAV

#: What would end the path in a URL; its other characters are encoded by whoever opens it.
_ENDS_PATH: Final = re.compile(r"[%?#]")
#: Characters that a URL holds encoded only: XRootD sends names as they are.
_NO_URL: Final = re.compile(r"[^!$%&'()*+,./0-9:;=@A-Z_a-z~-]")
#: Time between two attempts to connect, s.
_KNOCK_EVERY: Final = 0.5
_FOUND: Final = 207
_REFUSED: Final = (401, 403)


class WebDAVFileSystem(HTTPFileSystem):  # type: ignore[misc]
    """Files of one server, as paths; over TLS it gets the grid proxy, or the token if it asks.

    Files of a web server without WebDAV can be read, and its folders cannot be listed.

    Parameters
    ----------
    server
        Scheme and host of URLs, such as ``davs://host:2880``.
    timeout
        Timeout for an answer of the server, s.
    options
        Those of fsspec's file systems.
    """

    protocol = ("davs", "dav")

    def __init__(self, server: str, timeout: float = TIMEOUT, **options: object) -> None:
        scheme, _, host = server.partition("://")
        self._named = server
        self._server = f"{WebDAV.SCHEMES[scheme]}://{host}"
        limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        self._gave_up = -math.inf
        self._asks = False  # whether the server refuses access without a token
        client = {"timeout": limits, "middlewares": (self._with_token, self._patient)}
        super().__init__(client_kwargs=client, **options)

    @property
    def kwargs(self) -> dict[str, Any]:
        """Options of each request; a proxy that was renewed is read again."""
        if not self._server.startswith("https"):
            return self._options
        proxy = grid_proxy()
        renewed = Path(proxy).stat().st_mtime_ns if proxy else None
        return self._options | {"ssl": _tls(proxy, renewed, authorities())}

    @kwargs.setter
    def kwargs(self, options: dict[str, Any]) -> None:
        self._options = options

    async def _patient(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Try again while a port is closed, as long as XRootD's client would."""
        window = float(os.environ["XRD_CONNECTIONWINDOW"])
        began = time.monotonic()
        while True:
            try:
                return await handler(request)
            except aiohttp.ClientConnectorError as error:
                now = time.monotonic()
                if error.os_error.errno != errno.ECONNREFUSED or now < self._gave_up + window:
                    raise
                if now > began + window:
                    self._gave_up = now
                    raise
            await asyncio.sleep(_KNOCK_EVERY)

    async def _with_token(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send the bearer token over TLS, once the server has refused access without it.

        Servers that anybody may read don't get it, nor those to which this one redirects; nor is it
        sent if the URL itself grants access.
        """
        url = request.url
        may_get_it = (
            url.scheme == "https"
            and url.origin() == yarl.URL(self._server).origin()
            and "Authorization" not in request.headers
            and not has_secrets(str(url))
        )
        try:
            if not (may_get_it and self._asks):
                answer = await handler(request)
                if not (may_get_it and answer.status in _REFUSED and authorization()):
                    return answer
                self._asks = True
                answer.close()
            if token := authorization():
                request.headers["Authorization"] = token
            return await handler(request)
        finally:
            # aiohttp's errors contain the headers, and Dask sends errors on
            request.headers.popall("Authorization", None)

    @override
    def encode_url(self, url: str) -> yarl.URL:
        return yarl.URL(f"{self._server}{url}")

    @override
    def unstrip_protocol(self, name: str) -> str:
        return f"{self._named}{name}"

    @classmethod
    @override
    def _strip_protocol(cls, path: str) -> str:
        return path[len(_server_of(path)) :] or "/"

    @staticmethod
    @override
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        return {"server": _server_of(path)}

    @override
    async def _info(self, url: str, **_: object) -> dict[str, Any]:
        found = await self._found(url, depth=0)
        if found:
            return found[0] | {"name": url}
        try:
            info: dict[str, Any] = await super()._info(url)
        except FileNotFoundError as error:
            if isinstance(error.__cause__, aiohttp.ClientResponseError):
                _raise_for(error.__cause__.status, url)
            raise error.__cause__ or error from None
        return info

    @override
    async def _ls(self, url: str, detail: bool = True, **_: object) -> list[Any]:
        found = await self._found(url, depth=1)
        if found is None:
            raise OSError("the server does not list folders; give each file")
        inside = [entry for entry in found if entry["name"].rstrip("/") != url.rstrip("/")]
        return inside if detail else [entry["name"] for entry in inside]

    ls = sync_wrapper(_ls)

    @override
    async def _isdir(self, path: str) -> bool:
        return bool((await self._info(path))["type"] == "directory")

    @override
    def _open(self, path: str, *arguments: Any, **options: Any) -> Any:
        info = self.info(path)
        if info["type"] == "directory":
            raise IsADirectoryError(path)
        return super()._open(path, *arguments, **{"size": info["size"]} | options)

    @override
    async def _cat_file(
        self, url: str, start: int | None = None, end: int | None = None, **_: object
    ) -> bytes:
        content: bytes = await super()._cat_file(url, start=start, end=end)
        if start is not None and end is not None and len(content) > end - start:
            raise OSError("the server sends files as a whole only, no parts of them; copy the file")
        return content

    async def _found(self, path: str, depth: int) -> list[dict[str, Any]] | None:
        """Return what the server says of a place, and of what is in it; None if it cannot."""
        session = await self.set_session()
        headers = {"Depth": str(depth)}
        url = self.encode_url(path)
        async with session.request("PROPFIND", url, headers=headers, **self.kwargs) as answer:
            if answer.status in (404, *(_REFUSED if depth else ())):
                _raise_for(answer.status, path)
            if answer.status != _FOUND:
                return None
            text = await answer.read()
        try:
            # Python's parser expands no entities without limit
            responses = ET.fromstring(text).iter("{DAV:}response")  # noqa: S314
            return [_entry(response) for response in responses]
        except (ET.ParseError, KeyError, ValueError) as error:
            raise OSError(f"the server's answer is not that of WebDAV ({error})") from None

    @override
    def _raise_not_found_for_status(self, response: aiohttp.ClientResponse, url: str) -> None:
        _raise_for(response.status, url)


def _raise_for(status: int, path: str) -> None:
    if status == 404:
        raise FileNotFoundError(path)
    if status in _REFUSED:
        raise OSError(f"{'Token expired' if token_has_expired() else 'Auth failed'}: HTTP {status}")
    if status >= 400:
        raise OSError(f"the server answers HTTP {status}")


def _server_of(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.partition('/')[0]}" if mark else ""


def _entry(response: ET.Element) -> dict[str, Any]:
    """Return what a server says of a file or folder, with the names of fsspec."""
    told = {item.tag.removeprefix("{DAV:}"): item.text for item in response.iter() if item.text}
    is_folder = response.find(".//{DAV:}resourcetype/{DAV:}collection") is not None
    path = told["href"][len(_server_of(told["href"])) :]
    if _NO_URL.search(path) is None:
        path = unquote(path)
    entry: dict[str, Any] = {
        "name": _ENDS_PATH.sub(lambda found: quote(found[0]), path),
        "type": "directory" if is_folder else "file",
        "size": int(told["getcontentlength"]) if "getcontentlength" in told else None,
    }
    stamps = {"Last-Modified": told.get("getlastmodified"), "ETag": told.get("getetag")}
    return entry | {name: text for name, text in stamps.items() if text}


@lru_cache(maxsize=1)
def _tls(proxy: str | None, _renewed: int | None, trusted: str | None) -> ssl.SSLContext:
    """Return the TLS settings for a proxy, as it was at a time, and a folder of authorities."""
    context = ssl.create_default_context(capath=trusted)
    if proxy:
        context.load_cert_chain(proxy)
    return context
