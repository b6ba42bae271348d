"""Connections that break in the middle of a transfer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

#: What is forwarded at once.
_BLOCK = 16_384


class CuttingProxy:
    """Forwards connections on the loopback interface, and breaks some of them.

    Parameters
    ----------
    target_port
        Where the server listens.
    after_bytes
        A connection breaks when so many bytes were forwarded to the server.
    times
        How many connections break; those after them are forwarded faithfully.

    Attributes
    ----------
    port
        Where it listens.
    cuts
        How many connections it broke.
    """

    def __init__(self, target_port: int, after_bytes: int, times: int = 1) -> None:
        self._target_port = target_port
        self._after_bytes = after_bytes
        self._times = times
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._ended = False
        self.port = int(self._listener.getsockname()[1])
        self.cuts = 0

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended = True
        # closing alone would not wake the thread that accepts
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._close(*self._open)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            self._run(self._to_server, client, server)
            self._run(self._to_client, client, server)

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        forwarded = 0
        try:
            while block := client.recv(_BLOCK):
                left = self._after_bytes - forwarded
                cut = len(block) >= left and self._may_cut()
                server.sendall(block[:left] if cut else block)
                forwarded += len(block)
                if cut:
                    break
        except OSError:
            pass
        with self._lock:
            self._close(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := server.recv(_BLOCK):
                client.sendall(block)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _may_cut(self) -> bool:
        with self._lock:
            if self.cuts == self._times:
                return False
            self.cuts += 1
            return True

    def _close(self, *connections: socket.socket) -> None:
        for connection in connections:
            self._open.discard(connection)
            # closing alone would not wake the thread that reads from it
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _run(self, function: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)
