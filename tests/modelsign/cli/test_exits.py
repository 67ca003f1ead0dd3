"""modelsign/cli/exits.py: the one table from outcomes and errors to exit codes."""

import itertools

import pytest

from attestations import errors as attestation_errors
from modelsign import errors
from modelsign.cli.exits import MEANINGS, Exit, exit_of, worst


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError(), 2),
        (errors.SourceError(), 4),
        (errors.NothingToDo(), 5),
        (errors.ConversionError(), 6),
        (errors.PolicyError(), 15),
        (attestation_errors.SignatureInvalid(), 11),
        (attestation_errors.LogProofInvalid(), 11),
        (attestation_errors.IdentityMismatch(), 12),
        (attestation_errors.DigestMismatch(), 13),
        (attestation_errors.Unsupported(), 16),
        (attestation_errors.ContentChanged(), 13),
        (attestation_errors.NoFiles(), 5),
        (attestation_errors.ManifestError(), 4),
        (attestation_errors.TrustError(), 15),
        (FileNotFoundError(), 4),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_documented_errors_have_a_code(error: Exception, code: int) -> None:
    assert exit_of(error) == code


def test_a_bug_has_none() -> None:
    assert exit_of(KeyError("x")) is None


def test_the_worst_of_several_follows_the_table() -> None:
    order = [Exit(code) for code in (2, 4, 70, 11, 13, 12, 10, 16, 15, 14, 1, 3, 0)]
    for first, second in itertools.combinations(order, 2):
        assert worst([second, first]) is first


def test_nothing_is_a_pass() -> None:
    assert worst([]) is Exit.OK
