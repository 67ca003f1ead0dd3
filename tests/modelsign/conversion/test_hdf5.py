"""HDF5 built byte by byte: what is read, and what is refused because it misleads."""

import contextlib
import random
import zlib

import pytest

from modelsign.conversion import blocks
from modelsign.errors import ConversionError
from tests.builders import hdf5 as build
from tests.builders.checkpoints import floats
from tests.builders.keras import DENSE, keras_file, layer, sequential
from tests.modelsign.conversion.reading import in_memory

LAMBDA = sequential(DENSE, layer("Lambda", {"function": "evil"}))
Message = tuple[int, bytes]
Blocks = dict[tuple[int, ...], bytes]


def one(layout: Message, shape: tuple[int, ...] = (4, 4), *more: Message, file: build.File | None = None) -> bytes:
    """A file of one dataset `w`."""
    file = file or build.File()
    inner = build.dataset(file, shape, layout, *more)
    return file.finish(file.add(build.header([build.hard_link("w", inner)])))


def rooted(*messages: Message, file: build.File) -> bytes:
    return file.finish(file.add(build.header(messages)))


def blocks_of(data: bytes, *, pack: bool = False) -> Blocks:
    """A 3x3 array in blocks of 2x2, padded with ones that must not arrive."""
    found: Blocks = {}
    for row in (0, 2):
        for column in (0, 2):
            cells = [(r, c) for r in (row, row + 1) for c in (column, column + 1)]
            block = b"".join(data[12 * r + 4 * c :][:4] if r < 3 and c < 3 else b"\1\1\1\1" for r, c in cells)
            found[row, column] = zlib.compress(block) if pack else block
    return found


@pytest.mark.parametrize("old", [False, True])
def test_a_dataset_arrives(old: bool) -> None:
    assert in_memory(build.weights(old=old)).tensors == {"w": ("F32", (4, 4), bytes(64))}


@pytest.mark.parametrize("pack", [False, True])
def test_blocks_are_put_together_and_their_padding_is_left(pack: bool) -> None:
    file = build.File()
    layout = build.chunked(file, blocks_of(floats(9), pack=pack), (2, 2))
    data = one(layout, (3, 3), *([build.filters(1)] if pack else []), file=file)
    assert in_memory(data).tensors == {"w": ("F32", (3, 3), floats(9))}


def test_shuffled_blocks_are_put_in_order() -> None:
    file = build.File()
    data = floats(4)
    shuffled = b"".join(data[byte::4] for byte in range(4))
    layout = build.chunked(file, {(0,): shuffled}, (4,))
    assert in_memory(one(layout, (4,), build.filters(2), file=file)).tensors == {"w": ("F32", (4,), data)}


def test_a_second_name_and_a_soft_link_are_aliases() -> None:
    file = build.File()
    inner = build.dataset(file, (4, 4), build.contiguous(file.add(bytes(64)), 64))
    links = [build.hard_link("a", inner), build.hard_link("b", inner), build.soft_link("c", "/a")]
    written = in_memory(rooted(*links, file=file))
    assert set(written.tensors) == {"a"}
    assert written.metadata == {"b": "a", "c": "a", "format": "pt"}


def hostile() -> dict[str, tuple[bytes, str]]:
    """Files that mislead, and what is said about them."""
    files: dict[str, tuple[bytes, str]] = {}
    for name, link, words in (
        ("link-to-another-file", build.external_link("e", "/etc/passwd"), "link to another file, '/etc/passwd'"),
        ("soft-link-to-nothing", build.soft_link("s", "../../x"), "no dataset of this file"),
        ("soft-link-to-itself", build.soft_link("s", "/s"), "no dataset of this file"),
    ):
        files[name] = build.weights(None, link), words
    file = build.File()
    files["external-storage"] = (
        one(build.contiguous(0, 64), (4, 4), build.external_storage(file, "/etc/passwd"), file=file),
        "keeps its data in another file",
    )
    file = build.File()
    files["virtual"] = one(build.virtual_layout(file, "other.h5"), file=file), "is a virtual dataset"
    files["outside"] = one(build.contiguous(1 << 20, 64)), "its data ends at byte"
    files["another-size"] = one(build.contiguous(96, 60)), "has 60 bytes and its shape needs 64"
    files["shape-bomb"] = one(build.contiguous(96, 64), (1 << 40, 1 << 20)), "its shape needs|overflows"
    files["overflow"] = one(build.contiguous(96, 64), (1 << 63,)), "its size overflows"
    file = build.File()
    place = file.add(bytes(100))
    twice = [build.dataset(file, (4, 4), build.contiguous(place + shift, 64)) for shift in (0, 32)]
    links = [build.hard_link(name, inner) for name, inner in zip("ab", twice, strict=True)]
    files["shared-bytes"] = rooted(*links, file=file), "share bytes of the file"
    file = build.File()
    inner = build.dataset(file, (4, 4), build.contiguous(file.add(bytes(64)), 64))
    group = file.add(build.header([build.hard_link("w", inner)]))
    files["group-of-two-names"] = (
        rooted(build.hard_link("a", group), build.hard_link("b", group), file=file),
        "a second name of a group",
    )
    files["name-twice"] = (
        rooted(build.hard_link("w", inner), build.hard_link("w", inner), file=file),
        "two things of this name",
    )
    file = build.File()
    headless = build.hard_link("v", file.add(build.header([(0x01, build.dataspace(4)), (0x03, build.FLOAT)])))
    inner = build.dataset(file, (4, 4), build.contiguous(file.add(bytes(64)), 64))
    files["no-layout"] = rooted(build.hard_link("w", inner), headless, file=file), "neither a group nor a dataset"
    file = build.File()
    grown = (0x01, b"\x02\x01\x01\x01" + build.address(4) + build.address(3))
    inner = file.add(build.header([grown, (0x03, build.FLOAT), build.contiguous(file.add(bytes(16)), 16)]))
    files["larger-than-its-most"] = rooted(build.hard_link("w", inner), file=file), "larger than the most"
    files["described-twice"] = one(build.contiguous(96, 64), (4, 4), build.contiguous(96, 64)), "is described twice"
    return files | hostile_blocks()


def hostile_blocks() -> dict[str, tuple[bytes, str]]:
    """The same, of arrays in blocks."""
    files: dict[str, tuple[bytes, str]] = {}

    def add(name: str, words: str, blocks: Blocks, *more: Message, size: int = 8) -> None:
        file = build.File()
        files[name] = one(build.chunked(file, blocks, (4,)), (size,), *more, file=file), words

    whole: Blocks = {(0,): floats(4), (4,): floats(4)}
    add("missing-block", "not written as a whole", {(0,): floats(4)})
    add("block-outside", "more blocks than its shape", {**whole, (8,): floats(4)})
    add("block-elsewhere", "not written as a whole", {(0,): floats(4), (5,): floats(4)})
    add("short-block", "its size does not agree", {(0,): floats(4), (4,): floats(3)})
    add("unknown-filter", "filter blosc, which is not read", whole, build.filters(32001))
    add("filter-twice", "its filters do not fit", whole, build.filters(1, 1))
    add("no-zlib", "its compressed data is damaged", whole, build.filters(1))
    packed = zlib.compress(floats(8))
    add("unpacks-to-more", "does not unpack to the 16 bytes", {(0,): packed, (4,): packed}, build.filters(1))
    add("cut-off-block", "does not unpack to", {(0,): zlib.compress(floats(4))[:-5]}, build.filters(1), size=4)
    add("countless-blocks", "too large|blocks, more than", whole, size=1 << 40)
    file = build.File()
    bomb = build.chunked(file, {(0,): zlib.compress(bytes(1 << 26))}, (1 << 24,))
    files["expansion-bomb"] = one(bomb, (1 << 24,), build.filters(1), file=file), "look like an expansion bomb"
    file = build.File()
    huge = build.chunked(file, {(0,): b"x"}, (1 << 30,))
    files["huge-block"] = one(huge, (1 << 30,), build.filters(1), file=file), "blocks of 4294967296 bytes"
    return files


HOSTILE = hostile()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("limit", [0, blocks.IN_MEMORY])
def test_what_misleads_is_refused(name: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "IN_MEMORY", limit)
    data, words = HOSTILE[name]
    with pytest.raises(ConversionError, match=words):
        in_memory(data)


@pytest.mark.parametrize("deflated", [False, True])
def test_weights_of_a_keras_file_arrive_whatever_its_configuration(deflated: bool) -> None:
    data = keras_file(LAMBDA, weights=build.weights(), deflated=deflated)
    assert in_memory(data).tensors == {"w": ("F32", (4, 4), bytes(64))}


def test_a_keras_file_without_weights_is_refused() -> None:
    with pytest.raises(ConversionError, match="there is no HDF5 file"):
        in_memory(keras_file(LAMBDA))


@pytest.mark.parametrize("seed", range(4))
def test_damage_ends_in_a_refusal_or_in_a_tensor(seed: int) -> None:
    file = build.File()
    layout = build.chunked(file, blocks_of(floats(9), pack=True), (2, 2))
    files = [
        build.weights(),
        build.weights(old=True),
        one(layout, (3, 3), build.filters(1), file=file),
    ]
    chance = random.Random(seed)
    for data in files:
        for length in range(seed, len(data), 7):
            survive(data[:length])
        for _ in range(150):
            changed = bytearray(data)
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            survive(bytes(changed))


def survive(data: bytes) -> None:
    with contextlib.suppress(ConversionError):
        in_memory(data)


def test_every_flipped_bit_of_new_metadata_is_noticed() -> None:
    data = build.weights()
    expected = in_memory(data).tensors
    for place in (place for place in range(len(data)) if not 96 <= place < 160):  # where the numbers lie
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        try:
            assert in_memory(bytes(changed)).tensors == expected  # in padding
        except ConversionError:
            continue
