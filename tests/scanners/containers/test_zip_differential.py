"""What zipfile and torch's own reader get out of ambiguous archives is always among what is scanned.

Archives come from a seeded generator that combines every construct of `tests.builders.zips` and then damages some of
them; both loaders open each, and every member they deliver must be one that our reading delivers too, byte for byte.
`MODELSIGN_FUZZ` multiplies the number of archives.
"""

import contextlib
import io
import json
import os
import random
import re
import struct
import zipfile
import zlib

import pytest

from scanners.containers import zip as zip_container
from scanners.errors import ScanError
from scanners.limits import Budget
from scanners.reader import BytesReader
from scanners.reading import Blob, Reading
from tests.builders.zips import DEFLATED, STORED, Archive, Member
from tests.peers import peer_python, run_peer

COUNT = 600 * int(os.environ.get("MODELSIGN_FUZZ", "1"))

_WRITTEN = re.compile(rb"(content \d+ )\1*|3\n")

_NAMES = (
    b"archive/data.pkl",
    b"archive/DATA.PKL",
    b"archive/data/0",
    b"archive/version",
    b"other/data.pkl",
    b"archive/data.pkl\x00x",
    b"../data.pkl",
    b"archive/",
    b"gr\xc3\xbcn/data.pkl",
    b"gr\xfcn/data.pkl",
)


def member(choose: random.Random, index: int) -> Member:
    data = (b"content %d " % index) * choose.randrange(1, 4)
    method = choose.choice((STORED, STORED, DEFLATED))
    fields: dict[str, object] = {}
    if choose.random() < 0.15:
        fields["local_name"] = choose.choice(_NAMES)
    if choose.random() < 0.1:
        fields["local_method"] = choose.choice((STORED, DEFLATED))
    if choose.random() < 0.1:
        fields["crc"] = choose.choice((0, 7))
    if choose.random() < 0.1:
        fields["flags"] = choose.choice((1, 0x20, 0x40, 0x800))
    if choose.random() < 0.1:
        fields["local_flags"] = choose.choice((0, 1, 8))
    if choose.random() < 0.15:
        fields.update(flags=8, local_crc=0, local_size=0)
        crc_and_sizes = bytes(12)
        fields["after"] = choose.choice((b"PK\x07\x08" + crc_and_sizes, crc_and_sizes, b""))
    if choose.random() < 0.1:
        fields["local_size"] = choose.choice((0, 3, 1000))
    if choose.random() < 0.1:
        fields["local_extra"] = b"FB\x04\x00ZZZZ"
    if choose.random() < 0.08:
        fields["header_offset"] = choose.choice((0, 1, 40))
    if choose.random() < 0.08:
        fields["in_directory"] = False
    if choose.random() < 0.05:
        fields["size"] = choose.choice((1, 500))
    return Member(name=choose.choice(_NAMES), data=data, method=method, **fields)  # type: ignore[arg-type]  # by name


def one(choose: random.Random, start: int) -> bytes:
    members = [member(choose, start + index) for index in range(choose.randrange(1, 5))]
    # torch opens nothing without a version record under the root of the first member.
    root = members[0].name.split(b"/")[0]
    members.append(Member(name=root + b"/version", data=b"3\n"))
    fields: dict[str, object] = {}
    if choose.random() < 0.1:
        fields["prefix"] = choose.choice((b"junk" * 16, b"\x80\x02N."))
        fields["adjust_prefix"] = choose.random() < 0.5
    if choose.random() < 0.1:
        fields["trailer"] = b"junk" * choose.choice((1, 100))
    if choose.random() < 0.1:
        fields["zip64"] = True
    if choose.random() < 0.1:
        fields["promised"] = choose.choice((0, 1, 2, 9))
    if choose.random() < 0.1:
        fields["comment"] = b"a comment"
    return Archive(members=members, **fields).build()  # type: ignore[arg-type]  # fields by name


def archives(seed: int, count: int) -> list[bytes]:
    choose = random.Random(seed)
    made: list[bytes] = []
    while len(made) < count:
        data = one(choose, len(made) * 100)
        shape = choose.random()
        if shape < 0.12:
            data += one(choose, len(made) * 100 + 50)
        elif shape < 0.2:
            inner = one(choose, len(made) * 100 + 50)
            data = Archive(members=[member(choose, len(made) * 100 + 70)], comment=inner[:0xFFFF]).build()
        elif shape < 0.35:
            damaged = bytearray(data)
            for _ in range(choose.randrange(1, 4)):
                damaged[choose.randrange(len(damaged))] = choose.randrange(256)
            data = bytes(damaged)
        made.append(data)
    return made


def scanned(data: bytes) -> set[bytes]:
    """Every content that is handed on."""
    blob = Blob(reader=BytesReader(data), name="model.zip")
    reading = Reading(blob=blob, budget=Budget())
    with contextlib.suppress(ScanError):
        zip_container.read(blob, reading)
    return {child.reader.read_at(0, child.reader.size) for child in reading.children}


def by_zipfile(data: bytes) -> set[bytes]:
    """What zipfile delivers, whichever way a program asks it: by name, by entry, in pieces before the checksum."""
    found: set[bytes] = set()
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError):
        return found
    with archive:
        questions: list[zipfile.ZipInfo | str] = [*archive.infolist()]
        questions += archive.namelist()
        for asked in questions:
            try:
                with archive.open(asked) as content:
                    found.add(content.read())
            except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError, NotImplementedError, KeyError):
                continue
            except (zlib.error, struct.error, OverflowError):
                continue  # zipfile leaks these
    return found


def missing(loaded: set[bytes], ours: set[bytes]) -> set[bytes]:
    """What a loader delivers and no member of ours is, or (where a loader stops short) begins with."""
    return {content for content in loaded if content and not any(one.startswith(content) for one in ours)}


@pytest.mark.parametrize("seed", range(4))
def test_zipfile_delivers_nothing_that_is_not_scanned(seed: int) -> None:
    delivered = 0
    for data in archives(seed, COUNT):
        loaded = by_zipfile(data)
        delivered += len(loaded)
        assert not missing(loaded, scanned(data)), data
        assert not loaded or zip_container.looks_like_zip(BytesReader(data)), data
    assert delivered > COUNT / 2  # the generator makes archives that can be opened


TORCH = """
import io, json, sys
import torch
from torch._C import PyTorchFileReader
results = []
data = open(sys.argv[1], "rb").read()
at = 0
while at < len(data):
    length = int.from_bytes(data[at:at + 8], "little")
    archive = data[at + 8:at + 8 + length]
    at += 8 + length
    found = set()
    names = {"data.pkl", "DATA.PKL", "version", "data/0"}
    try:
        reader = PyTorchFileReader(io.BytesIO(archive))
    except (RuntimeError, UnicodeDecodeError):  # the second where the message quotes a name
        names = ()
    try:
        names = names and names | set(reader.get_all_records())
    except (RuntimeError, UnicodeDecodeError):  # one of the names, or a member outside the root
        pass
    for name in names:
        if not name or name.endswith("/"):
            continue  # of a directory torch returns memory nobody wrote to
        try:
            found.add(bytes(reader.get_record(name)).hex())
        except (RuntimeError, MemoryError, UnicodeDecodeError):
            pass
    results.append(sorted(found))
json.dump(results, sys.stdout)
"""


@pytest.mark.interop
def test_torch_delivers_nothing_that_is_not_scanned(tmp_path_factory: pytest.TempPathFactory) -> None:
    peer_python("torch")
    made = [data for seed in range(4) for data in archives(seed, COUNT)]
    path = tmp_path_factory.mktemp("archives") / "all"
    path.write_bytes(b"".join(len(data).to_bytes(8, "little") + data for data in made))
    # Of a member with a size but no compressed bytes torch returns memory that nobody wrote to: have it filled.
    environment = {**os.environ, "MALLOC_PERTURB_": "165"}
    results = json.loads(run_peer("torch", "-c", TORCH, path, env=environment).stdout)

    assert len(results) == len(made)
    for data, contents in zip(made, results, strict=True):
        loaded = {bytes.fromhex(content) for content in contents}
        loaded = {content for content in loaded if content in data or _WRITTEN.fullmatch(content)}
        assert not missing(loaded, scanned(data)), data
    assert sum(map(len, results)) > len(made) / 4
