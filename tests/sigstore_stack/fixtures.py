"""Fixtures that give tests a running Sigstore instance; `tests/conftest.py` registers them.

The stack is imported when a test asks for it: most test runs never do.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sigstore_stack.stack import SigstoreStack


@pytest.fixture(scope="session")
def sigstore_stack(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SigstoreStack]":
    """A Sigstore instance on 127.0.0.1, one for the whole session."""
    from tests.sigstore_stack.stack import SigstoreStack

    with SigstoreStack(tmp_path_factory.mktemp("sigstore")) as stack, pytest.MonkeyPatch.context() as patch:
        # a machine of Google's would offer a token for its service account
        patch.setattr("id._internal.oidc.ambient._GCP_PRODUCT_NAME_FILE", "/nonexistent")
        yield stack


@pytest.fixture(scope="session")
def other_sigstore_stack(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SigstoreStack]":
    """A second instance, with keys of its own: nobody who trusts the first trusts this one."""
    from tests.sigstore_stack.stack import SigstoreStack

    with SigstoreStack(tmp_path_factory.mktemp("other-sigstore")) as stack:
        yield stack
