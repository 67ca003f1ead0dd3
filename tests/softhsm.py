"""A real PKCS#11 token in software, made with OpenSC: for one test module, in a directory of its own."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

PIN = "5678"
LABEL = "lab"
_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")


def configure(directory: Path) -> str:
    """Prepare a directory for a token and return the module; its programs need SOFTHSM2_CONF, `configuration`.

    Skips the test where SoftHSM or OpenSC is not installed.
    """
    pytest.importorskip("pkcs11", reason="needs the extra package python-pkcs11")
    module = next((path for path in _MODULES if Path(path).exists()), None)
    if module is None or not shutil.which("softhsm2-util") or not shutil.which("pkcs11-tool"):
        pytest.skip("needs Debian's packages softhsm2 and opensc")
    (directory / "tokens").mkdir()
    configuration(directory).write_text(f"directories.tokendir = {directory / 'tokens'}\nlog.level = ERROR\n")
    return module


def configuration(directory: Path) -> Path:
    """Return the file that SOFTHSM2_CONF names."""
    return directory / "softhsm2.conf"


def make_keys(run: Callable[..., object], module: str, kinds: Mapping[str, str]) -> None:
    """Make the token and its keys: label -> kind, with the identifiers 01, 02 and so on.

    Args:
        run: runs a program with SOFTHSM2_CONF set, and fails where it does.
        module: from `configure`.
        kinds: what OpenSC calls them.
    """
    run("softhsm2-util", "--init-token", "--free", "--label", LABEL, "--so-pin", "1234", "--pin", PIN)
    tool = ["pkcs11-tool", "--module", module, "--token-label", LABEL, "--login", "--pin", PIN]
    for number, (label, kind) in enumerate(kinds.items(), start=1):
        run(*tool, "--keypairgen", "--key-type", kind, "--id", f"0{number}", "--label", label)
