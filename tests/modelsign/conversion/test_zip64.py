"""Archives as torch writes them beyond four gigabytes, small enough to be built by hand."""

import pytest

from modelsign.errors import ConversionError
from tests.builders.checkpoints import floats, pickled, tensor
from tests.builders.zips import zip64_archive
from tests.modelsign.conversion.reading import in_memory

RECORDS = [
    ("archive/data.pkl", pickled({"a": tensor("0", (2, 3)), "b": tensor("1", (2,))})),
    ("archive/byteorder", b"little"),
    ("archive/data/0", floats(6)),
    ("archive/data/1", floats(2, 7)),
    ("archive/version", b"3\n"),
]


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("fields", ["size compressed offset", "size compressed", "offset"])
def test_tensors_arrive(fields: str, local: bool) -> None:
    assert in_memory(zip64_archive(RECORDS, fields=fields, local=local)).tensors == {
        "a": ("F32", (2, 3), floats(6)),
        "b": ("F32", (2,), floats(2, 7)),
    }


@pytest.mark.parametrize("lie", [-1, 2, 1 << 40, (1 << 63) - 100])
def test_sizes_that_lie_are_refused(lie: int) -> None:
    with pytest.raises(ConversionError):
        in_memory(zip64_archive(RECORDS, lie=lie))


def test_every_truncation_is_refused() -> None:
    data = zip64_archive(RECORDS)
    for length in range(0, len(data), 3):
        with pytest.raises(ConversionError):
            in_memory(data[:length])
