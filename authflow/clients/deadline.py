"""The end of an exchange: at its deadline the connection is shut down, whatever its thread is waiting for.

A library's time-outs bound each read. So a server that sends a byte now and then, in the headers say, or one interim
answer after the other, is never late; nor can another thread stop the one that reads. What it can do is shut the
connection down: the read ends at once, as if the server had gone, and the library cleans up as it always does. So each
sender opens a connection for each exchange and hands it over (`watch`) as soon as it stands, before TLS and proxies.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from authflow.clock import monotonic
from authflow.renewing import call_at


class Deadline:
    """Shuts down what it watches `seconds` after it was made; a context that ends the watch."""

    def __init__(self, seconds: float) -> None:
        self.at = monotonic() + seconds
        self._lock = threading.RLock()
        self._watched: list[socket.socket] = []
        #: Was it told of a connection?
        self.watches = False
        #: Has it come, and was a connection shut down?
        self.cut = False
        self._cancel: Callable[[], None] = lambda: None

    def __enter__(self) -> Deadline:
        # Where no thread can start, the library's time-outs are left.
        with contextlib.suppress(RuntimeError):
            self._cancel = call_at(self.at, self._shut_down)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._cancel()
        with self._lock:
            watched, self._watched = self._watched, []
        for connection in watched:
            connection.close()

    def watch(self, connection: socket.socket) -> None:
        """Shut this connection down when it is time, whoever wraps it in TLS or closes it meanwhile.

        A descriptor of our own: one that the library had closed might be another connection's by then.
        """
        self.watches = True
        with contextlib.suppress(OSError):
            own = socket.fromfd(connection.fileno(), connection.family, connection.type)
            with self._lock:
                self._watched.append(own)
            if self.is_over:
                self._shut_down()

    @property
    def is_over(self) -> bool:
        return monotonic() >= self.at

    def _shut_down(self) -> None:
        with self._lock:
            for connection in self._watched:
                self.cut = True
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
