"""What holds for every test: no network but loopback, no inherited settings."""

import os
from pathlib import Path

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


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name cases of bytes by their argument and number, not by what they hold.

    Bytes with a time or something random in them would have other names in each worker, and workers that collect
    different names refuse to run at all.
    """
    return argname if isinstance(val, (bytes, bytearray)) else None


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Return whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def closed_network() -> None:
    """Let tests reach 127.0.0.1 only (and UNIX sockets)."""
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


CI_JOBS = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI")
JOB_TOKENS = (
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "GOOGLE_SERVICE_ACCOUNT_NAME", "SIGSTORE_ID_TOKEN"
)  # fmt: skip


@pytest.fixture(scope="session")
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def no_inherited_settings(nobodys_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep out of the tests who runs them, where: variables, colours, saved settings, the CI job, the umask."""
    for name in list(os.environ):
        if name.startswith("MODELSIGN_") and name not in {"MODELSIGN_PEERS", "MODELSIGN_VECTORS"}:
            monkeypatch.delenv(name)
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", *CI_JOBS, *JOB_TOKENS):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(nobodys_home / name))
    os.umask(0o022)
