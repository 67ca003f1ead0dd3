"""The zip layout of torch: who is who among the members, and what contradicts the layout."""

import pytest

from scanners.containers.zip import directory_of
from scanners.facts import Anomaly, Fact, Identified
from scanners.formats import torch_zip
from scanners.limits import Budget
from scanners.reader import BytesReader
from scanners.reading import INERT, Blob, Reading
from tests.builders.zips import DEFLATED, Archive, Member, archive, torch_archive

PICKLE = b"\x80\x02}q\x00."


def read(data: bytes) -> Reading:
    blob = Blob(reader=BytesReader(data), name="m.pt")
    reading = Reading(blob=blob, budget=Budget())
    torch_zip.read(blob, reading)
    return reading


def roles(data: bytes) -> dict[str, frozenset[str]]:
    reading = read(data)
    directory = directory_of(reading.blob, reading.budget)
    return {entry.name: reading.blob.claimed(entry.key) for entry in directory.everything}


def anomalies(facts: list[Fact]) -> list[str]:
    return [fact.code for fact in facts if isinstance(fact, Anomaly)]


def test_checkpoint_is_identified_and_its_members_get_roles() -> None:
    data = torch_archive(PICKLE, [("data/0", b"w" * 8)])

    assert roles(data) == {
        "archive/data.pkl": frozenset({torch_zip.DATA_PICKLE}),
        "archive/byteorder": frozenset(),
        "archive/data/0": frozenset({INERT}),
        "archive/version": frozenset(),
    }
    assert next(fact.detail for fact in read(data).facts if isinstance(fact, Identified)) == "little"


def test_sizes_of_storages_are_left_for_whoever_reads_the_pickle() -> None:
    reading = read(torch_archive(PICKLE, [("data/0", b"w" * 8), ("data/17", b"")]))

    assert reading.blob.shared[torch_zip.STORAGES] == {"0": 8, "17": 0}


def test_names_are_compared_without_case_as_torch_does() -> None:
    assert roles(archive(("X/DATA.PKL", PICKLE), ("X/Data/0", b"w"))) == {
        "X/DATA.PKL": frozenset({torch_zip.DATA_PICKLE}),
        "X/Data/0": frozenset({INERT}),
    }


def test_ordinary_zip_is_none_of_torchs() -> None:
    reading = read(archive(("a/b.pkl", PICKLE)))

    assert not reading.facts
    assert not reading.blob.claims


@pytest.mark.parametrize("name", ["data/0.pkl", "data/x", "data/0/1", "other/0", "data/"])
def test_only_storages_are_inert(name: str) -> None:
    assert INERT not in roles(torch_archive(PICKLE, [(name, b"w")]))[f"archive/{name}"]


def test_torchscript_members_get_roles() -> None:
    code = [("constants.pkl", PICKLE), ("code/__torch__.py", b"class M:"), ("code/__torch__.py.debug_pkl", PICKLE)]
    found = roles(torch_archive(PICKLE, [*code, ("constants/0", b"w")]))

    assert found["archive/constants.pkl"] == {torch_zip.CONSTANTS_PICKLE}
    assert found["archive/code/__torch__.py"] == {torch_zip.SCRIPT_SOURCE}
    assert found["archive/code/__torch__.py.debug_pkl"] == {torch_zip.DEBUG_PICKLE}
    assert found["archive/constants/0"] == {INERT}


def test_python_in_a_plain_checkpoint_is_no_torchscript() -> None:
    assert roles(torch_archive(PICKLE, [("code/x.py", b"import os")]))["archive/code/x.py"] == frozenset()


def test_big_endian_checkpoint_says_so() -> None:
    members = [Member(name=b"a/data.pkl", data=PICKLE), Member(name=b"a/byteorder", data=b"big", method=DEFLATED)]
    facts = read(Archive(members=members).build()).facts

    assert [fact.detail for fact in facts if isinstance(fact, Identified)] == ["big"]


def test_senseless_byte_order_is_noted() -> None:
    data = archive(("a/data.pkl", PICKLE), ("a/byteorder", b"middle"))

    assert anomalies(read(data).facts) == ["torch-record-malformed"]


def test_data_pkl_under_a_second_root_is_noted() -> None:
    data = archive(("a/data.pkl", PICKLE), ("b/data.pkl", PICKLE))

    assert anomalies(read(data).facts) == ["torch-second-root", "torch-record-outside-root"]


def test_storage_in_two_readings_counts_as_torch_reads_it() -> None:
    members = [
        Member(name=b"a/data.pkl", data=PICKLE),
        Member(name=b"a/data/0", data=b"w" * 8),
        Member(name=b"a/data/0", data=b"w"),
    ]

    assert read(Archive(members=members).build()).blob.shared[torch_zip.STORAGES] == {"0": 8}


def test_storage_that_is_an_array_file_is_read_as_one() -> None:
    assert INERT not in roles(torch_archive(PICKLE, [("data/0", b"\x93NUMPY\x01\x00")]))["archive/data/0"]
