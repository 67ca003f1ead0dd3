import struct

import pytest

from scanners.errors import FormatError
from scanners.formats import catboost
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def core(version: bytes = b"FlabuffersModel_v1") -> bytes:
    """A FlatBuffers root table with one field, the version."""
    virtual = struct.pack("<HHH", 6, 8, 4) + b"\0\0"
    table = struct.pack("<iI", len(virtual), 4)
    return struct.pack("<I", 4 + len(virtual)) + virtual + table + struct.pack("<I", len(version)) + version + b"\0"


def model(inside: bytes, parts: bytes = b"part") -> bytes:
    return b"CBM1" + struct.pack("<I", len(inside)) + inside + parts


def test_a_model_is_data() -> None:
    assert catboost.matches(blob_of(model(core()), "model.cbm"))
    assert uncovered(read_with(catboost, model(core()))) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"CBM1",
        b"CBM1\xff\xff\xff\x7f" + core(),
        model(core(b"Other")),
        model(b"\xff" * 40),
        model(b"\x80\x04cos\nsystem\n."),
    ],
    ids=["no-core", "core-beyond-the-end", "unknown-version", "offsets-outside", "pickle-inside"],
)
def test_what_is_no_catboost_core_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_with(catboost, data)


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(catboost, [model(core())], name="model.cbm")
