"""The pytest plugin: fixtures for tests about a vendor, and a whole suite without a line of test code.

    pytest --authflow-vendor supplier            the suite of `authflow.testing.suite`, added to whatever else there is

    def test_mine(authflow_simulator, authflow_session, authflow_clock): …

The marker `@pytest.mark.authflow_vendor("supplier", lifetime=60)` names the fixtures' vendor, and passes its other
arguments to `Simulator`; without it, the test runs for each vendor of the command line. Only pytest is imported before
a test asks for more: this module is loaded wherever the package is installed.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from authflow.session import AuthSession
    from authflow.testing.clock import Clock
    from authflow.testing.simulator import Simulator

MARKER = "authflow_vendor"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("authflow", "authflow")
    group.addoption(
        "--authflow-vendor",
        action="append",
        default=[],
        metavar="NAME_OR_FILE",
        help="run authflow's suite on a vendor: a plugin's name, or a path to a vendor file (repeatable)",
    )
    group.addoption(
        "--authflow-examples", type=int, default=200, metavar="N", help="how many stories to explore (%(default)s)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}(vendor, **options): the vendor of authflow's fixtures in this test")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    vendors = metafunc.config.getoption("--authflow-vendor")
    if vendors and "_authflow_vendor" in metafunc.fixturenames and not metafunc.definition.get_closest_marker(MARKER):
        metafunc.parametrize("_authflow_vendor", vendors)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    vendors = config.getoption("--authflow-vendor")
    if vendors:
        from authflow.testing.suite import SUITE

        for vendor in vendors:
            items += [
                VendorTest.from_parent(session, name=f"authflow[{vendor}]::{name}", vendor=vendor, test=test)
                for name, test in SUITE.items()
            ]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What was refused to an account in one test is the process's to remember, and none of the next test's."""
    if (memory := sys.modules.get("authflow.stores.memory")) is not None:
        memory.PROCESS_REFUSALS._records.clear()


class VendorTest(pytest.Item):
    """One row of the suite, for one vendor."""

    def __init__(self, *, vendor: str, test: Callable[..., None], **more: Any) -> None:
        super().__init__(**more)
        self._vendor, self._test = vendor, test

    def runtest(self) -> None:
        if "examples" in inspect.signature(self._test).parameters:
            self._test(self._vendor, examples=self.config.getoption("--authflow-examples"))
        else:
            self._test(self._vendor)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """What was wrong, in the vendor author's terms: the traceback would show this package's."""
        return f"{self._test.__doc__}\n{excinfo.typename}: {excinfo.value}"

    def reportinfo(self) -> tuple[str, int | None, str]:
        return self._vendor, None, self.name


@pytest.fixture
def authflow_clock() -> Clock:
    """The clock of the simulator and the session; you move it yourself."""
    from authflow.testing.clock import Clock

    return Clock()


@pytest.fixture
def _authflow_vendor() -> Any:
    return None


@pytest.fixture
def authflow_simulator(request: pytest.FixtureRequest, authflow_clock: Clock, _authflow_vendor: Any) -> Simulator:
    """A simulator of the vendor, with one account."""
    from authflow.testing.simulator import Simulator

    marker = request.node.get_closest_marker(MARKER)
    vendor = marker.args[0] if marker is not None and marker.args else _authflow_vendor
    if vendor is None:
        raise pytest.UsageError(f"name the vendor: @pytest.mark.{MARKER}('name or file'), or --authflow-vendor")
    return Simulator(vendor, clock=authflow_clock, **(marker.kwargs if marker is not None else {}))


@pytest.fixture
def authflow_session(authflow_simulator: Simulator, authflow_clock: Clock) -> AuthSession:
    """A session with the simulator's account; its exchanges go to the simulator."""
    from authflow.session import AuthSession
    from authflow.testing.transports import SimulatedSender

    sender = SimulatedSender(authflow_simulator)
    return AuthSession(authflow_simulator.vendor, client=sender, clock=authflow_clock, **authflow_simulator.inputs)
