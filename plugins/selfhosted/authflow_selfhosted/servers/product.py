"""A product: what it is made of, and how one server of it comes to run.

install ─ prepare (configuration, database) ─ start on a free port ─ populate (users) ─ Running
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from authflow_selfhosted.servers.environment import Unavailable, python_with
from authflow_selfhosted.servers.process import NotStarted, free_port, run, serving

__all__ = ["PASSWORD", "USERNAME", "NotStarted", "Place", "Product", "Running", "Unavailable", "running"]

USERNAME = "alice"
PASSWORD = "open-sesame-1"
#: Programs of ours that run in a product's own environment.
SITES = Path(__file__).with_name("sites")
TRIES = 3


@dataclass(frozen=True)
class Place:
    """Where one server lives: its interpreter, a folder that is thrown away, its port; `lifetime` of its tokens in
    seconds.
    """

    python: Path
    folder: Path
    port: int
    lifetime: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, name: str) -> str:
        """A script that the product's packages installed."""
        return str(self.python.with_name(name))

    def run(self, *command: str, environ: Mapping[str, str] | None = None) -> None:
        run(command, environ or {}, self.folder / "server.log")


@dataclass(frozen=True)
class Product:
    """`command` and `environ` start the server, `inputs` are what `AuthSession` is given, `data` is a URL that needs a
    token and `shows` what its answer then holds. `refreshes`: can a token be renewed? `ends`: what a logout makes void.
    """

    name: str
    command: Callable[[Place], Sequence[str]]
    inputs: Callable[[Place], Mapping[str, str]]
    ready: str
    data: str
    shows: str
    packages: tuple[str, ...] = ()
    needs: Callable[[], object] = lambda: None
    environ: Callable[[Place], Mapping[str, str]] = lambda place: {}
    prepare: Callable[[Place], None] = lambda place: None
    populate: Callable[[Place], None] = lambda place: None
    refreshes: bool = True
    ends: Literal["access", "refresh"] = "access"


@dataclass(frozen=True)
class Running:
    """A server that answers: settings and credentials for `AuthSession`, and a URL of the caller's own."""

    product: Product
    place: Place
    inputs: Mapping[str, str] = field(repr=False)

    @property
    def data(self) -> str:
        return self.place.url + self.product.data


@contextlib.contextmanager
def running(product: Product, lifetime: int) -> Iterator[Running]:
    """A fresh server of the product, whose tokens live `lifetime` seconds. Raises Unavailable, NotStarted."""
    product.needs()
    python = python_with(product.name, product.packages) if product.packages else Path(sys.executable)
    with contextlib.ExitStack() as stack:
        for attempt in range(1, TRIES + 1):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{product.name}-")))
            place = Place(python, folder, free_port(), lifetime)
            try:
                product.prepare(place)
                serve = serving(
                    product.command(place), product.environ(place), folder / "server.log", place.url + product.ready
                )
                stack.enter_context(serve)
                break
            except NotStarted:  # the free port may have been taken meanwhile
                if attempt == TRIES:
                    raise
        product.populate(place)
        yield Running(product, place, product.inputs(place))
