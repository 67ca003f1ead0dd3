"""Decompressed bytes on demand: windows, restarts, budgets, and data that breaks off."""

import gzip as standard_gzip
import lzma
import random
import zlib

import pytest

from scanners.containers import deflate, gzip, unpacking, xz
from scanners.containers.unpacking import Method, Unpacked
from scanners.errors import FormatError, LimitExceeded
from scanners.limits import Budget, Limits
from scanners.reader import BytesReader

ZLIB = Method(decoder=lambda: deflate.Inflate(deflate.ZLIB), errors=deflate.ERRORS)


def unpacked(data: bytes, *, size: int | None = None, budget: Budget | None = None, method: Method = ZLIB) -> Unpacked:
    return Unpacked(BytesReader(data), (0, len(data)), method, budget or Budget(input_bytes=len(data)), size=size)


def noise(length: int) -> bytes:
    return random.Random(7).randbytes(length)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "HEAD", 1000)
    monkeypatch.setattr(unpacking, "WINDOW", 4000)
    monkeypatch.setattr(unpacking, "CHECKPOINT", 5000)
    monkeypatch.setattr(unpacking, "CHUNK", 300)


def test_size_is_found_by_unpacking_once() -> None:
    assert unpacked(zlib.compress(noise(5000))).size == 5000


def test_head_costs_only_a_head() -> None:
    data = zlib.compress(noise(10 << 20), 1)
    reader = unpacked(data, size=10 << 20)

    assert reader.read_at(0, 10) == noise(10 << 20)[:10]
    assert reader._state.produced < 1 << 20


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("method", [ZLIB, xz.METHOD])
def test_reads_anywhere_give_the_same_bytes_whatever_is_held(method: Method) -> None:
    content = noise(60_000)
    data = zlib.compress(content) if method is ZLIB else lzma.compress(content)
    budget = Budget(input_bytes=len(data))
    reader = unpacked(data, method=method, budget=budget)
    choose = random.Random(1)

    for _ in range(300):
        offset = choose.randrange(70_000)
        length = choose.choice((1, 100, 3000, 20_000))
        assert reader.read_at(offset, length) == content[offset : offset + length]
    assert budget.materialised <= 20_000 + 4 * 4000
    reader.release()
    assert budget.materialised == 0


@pytest.mark.usefixtures("small_windows")
def test_reading_forward_in_a_long_stream_holds_a_window() -> None:
    content = noise(200_000)
    budget = Budget(input_bytes=200_000)
    reader = unpacked(zlib.compress(content), budget=budget)

    assert b"".join(reader.read_at(offset, 1000) for offset in range(0, 200_000, 1000)) == content
    assert budget.materialised < 10_000


def test_bomb_ends_at_the_ratio_and_gives_what_came_before() -> None:
    bomb = zlib.compress(bytes(1 << 24))
    reader = unpacked(bomb, budget=Budget(limits=Limits(free_expansion=1000, ratio=5), input_bytes=len(bomb)))

    assert reader.size < 1 << 20
    assert isinstance(reader.broken, LimitExceeded)
    assert reader.broken.limit == "ratio"
    assert reader.read_at(0, 4) == bytes(4)


def test_work_done_twice_counts_twice() -> None:
    data = zlib.compress(noise(100_000))
    budget = Budget(limits=Limits(unpacking=250_000, unpacking_ratio=0), input_bytes=len(data))

    for _ in range(2):
        reader = unpacked(data, budget=budget)
        assert reader.size == 100_000
        reader.release()
    third = unpacked(data, budget=budget)
    third.finish()
    assert isinstance(third.broken, LimitExceeded)


def test_size_that_promises_too_much_gives_what_there_is() -> None:
    reader = unpacked(zlib.compress(b"abc"), size=100)

    assert reader.read_at(0, 100) == b"abc"
    assert reader.size == 3
    assert isinstance(reader.broken, FormatError)


def test_size_that_promises_too_little_hides_the_rest_until_asked() -> None:
    reader = unpacked(zlib.compress(b"abcdef"), size=3)

    assert reader.read_at(0, 100) == b"abc"
    assert reader.finish() == 6


def test_broken_data_gives_what_came_before() -> None:
    data = bytearray(zlib.compress(noise(400_000)))
    data[-1] ^= 0xFF
    reader = unpacked(bytes(data))

    assert reader.read_at(0, 200_000) == noise(400_000)[:200_000]
    assert isinstance(reader.broken, FormatError)


def test_release_forgets_and_reading_starts_over() -> None:
    reader = unpacked(zlib.compress(b"abc"), size=100)
    reader.read_at(0, 100)
    reader.release()

    assert reader.broken is None
    assert reader.read_at(0, 3) == b"abc"


def test_streams_behind_each_other_are_one_where_the_format_says_so() -> None:
    data = standard_gzip.compress(b"abc") + standard_gzip.compress(b"def")
    assert unpacked(data, method=gzip.METHOD).read_at(0, 10) == b"abcdef"
    assert unpacked(zlib.compress(b"abc") + zlib.compress(b"def")).read_at(0, 10) == b"abc"


def test_every_truncation_gives_a_prefix() -> None:
    content = b"some text, some text, more text" * 3
    data = zlib.compress(content)

    for length in range(len(data)):
        reader = unpacked(data[:length])
        assert content.startswith(reader.read_at(0, 1000))
        assert reader.broken is not None


@pytest.mark.parametrize("method", [ZLIB, xz.METHOD])
def test_what_lies_close_before_broken_data_is_given_too(method: Method) -> None:
    content = bytes(range(256)) * 400
    data = bytearray(zlib.compress(content) if method is ZLIB else lzma.compress(content))
    data[-30:] = bytes(30)
    reader = unpacked(bytes(data), method=method)

    assert reader.read_at(0, 4000) == content[:4000]
    assert reader.size > 4000
    assert isinstance(reader.broken, FormatError)
