import pytest

from attestations.causes import cause_of, first_line


def led_to_by(error: Exception, *causes: Exception) -> Exception:
    """Return an error as it would be after each of ``causes`` was caught and led to the one before."""
    if causes:
        error.__cause__ = led_to_by(*causes)
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("bad token\nand more"), "bad token"),
        (led_to_by(ValueError("a"), RuntimeError("b"), ConnectionRefusedError(111, "Refused")), "Refused"),
        (led_to_by(ValueError("outer"), KeyError()), "KeyError"),
        (OSError("without a number"), "without a number"),
    ],
)
def test_innermost_error_is_told(error: Exception, said: str) -> None:
    assert cause_of(error) == said


def test_error_that_was_being_handled_counts_as_well() -> None:
    error = ValueError("failed")
    error.__context__ = TimeoutError("too slow")
    assert cause_of(error) == "too slow"


def test_error_without_a_word_has_no_first_line() -> None:
    assert first_line(ValueError()) == ""
