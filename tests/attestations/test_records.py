from pathlib import Path

from attestations import records
from scanners import records as tested


def test_the_decorator_is_the_one_whose_tests_are_beside_the_scanners() -> None:
    # Neither package may import the other (docs/adr/0009).
    assert Path(records.__file__).read_bytes() == Path(tested.__file__).read_bytes()
