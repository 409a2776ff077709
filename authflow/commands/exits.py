"""How a verb ends: its exit code, and for an error one line on standard error.

0    done
1    the vendor refused, or answered what its file does not foresee; `request`: an answer 4xx
2    used wrongly: an unknown account, a missing value, a URL where the token must not go
3    the vendor cannot be reached; `request`: an answer 5xx
4    the place where tokens are kept cannot be used
130  interrupted
"""

from __future__ import annotations

import json
import threading
from typing import IO, Any, Final

import click

from authflow.errors import (
    AuthFlowError,
    CredentialsRefused,
    StoreError,
    VendorAnswerError,
    VendorUnavailable,
)

DONE: Final = 0
REFUSED: Final = 1
MISUSED: Final = 2
UNAVAILABLE: Final = 3
UNKEPT: Final = 4
INTERRUPTED: Final = 130

EPILOG: Final = (
    "Exit codes: 0 done; 1 refused, or answered wrongly, by the vendor; 2 used wrongly; 3 the vendor cannot be "
    "reached; 4 tokens cannot be kept; 130 interrupted."
)

_CODES: Final[tuple[tuple[type[AuthFlowError], int], ...]] = (
    (CredentialsRefused, REFUSED),
    (VendorAnswerError, REFUSED),
    (VendorUnavailable, UNAVAILABLE),
    (StoreError, UNKEPT),
    (AuthFlowError, MISUSED),
)


def code_of(error: AuthFlowError) -> int:
    """The exit code for an error."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


class Failed(click.ClickException):
    """The end of a verb: one line, and an exit code. `facts` go with it where JSON is wanted."""

    def __init__(self, message: str, code: int, facts: dict[str, Any] | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = code  # type: ignore[misc]
        self.facts = facts

    def show(self, file: IO[Any] | None = None) -> None:
        line = f"authflow: {self.message}"
        if self.facts is not None:
            line = json.dumps({**self.facts, "message": self.message, "exit_code": self.exit_code})
        click.echo(line, err=True, file=file)


class Verb(click.Command):
    """A command whose errors end as the table above says. With `--json` the line on standard error is JSON too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", EPILOG)
        super().__init__(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AuthFlowError as error:
            facts = None
            if ctx.params.get("as_json"):
                facts = {"error": _kind(error), "vendor": error.vendor, "retry_after": error.retry_after}
            raise Failed(str(error), code_of(error), facts) from error
        except (KeyboardInterrupt, EOFError, click.Abort):
            busy = any(thread.name == "authflow" for thread in threading.enumerate())
            more = ": what was sent is still answered first, so that no token is lost" if busy else ""
            raise Failed(f"interrupted{more}", INTERRUPTED) from None


def _kind(error: AuthFlowError) -> str:
    """The class that our own tree knows it by, also where it is a client's error too."""
    return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == "authflow.errors")
