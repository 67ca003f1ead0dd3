"""What holds for every test: no network but loopback, no inherited settings."""

import os

import pytest
from hypothesis import HealthCheck, settings
from pytest_socket import socket_allow_hosts

# A test fails for what the code does: the same examples in every run and on every machine, and no example or draw is
# too slow. `--hypothesis-profile=default` looks for new ones.
settings.register_profile(
    "same-everywhere", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same-everywhere")

pytest_plugins = ["tests.sigstore_stack.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag that accepts what reports look like now."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files of reports anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Return whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def closed_network() -> None:
    """Let tests reach 127.0.0.1 only (and UNIX sockets)."""
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def no_inherited_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own MODELSIGN_* variables and colours out of the tests."""
    for name in list(os.environ):
        if name.startswith("MODELSIGN_") and name not in {"MODELSIGN_PEERS", "MODELSIGN_VECTORS"}:
            monkeypatch.delenv(name)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
