import random

import pytest

from modelsign.conversion import gather


def gathered(data: bytes, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], itemsize: int) -> bytes:
    size = itemsize
    for length in shape:
        size *= length
    out = bytearray(size)
    filled = bytearray(size)
    for place, piece in gather.pieces(
        lambda start, length: data[start : start + length], offset=offset, shape=shape, stride=stride, itemsize=itemsize
    ):
        assert not any(filled[place : place + len(piece)])
        filled[place : place + len(piece)] = b"\x01" * len(piece)
        out[place : place + len(piece)] = piece
    assert all(filled)
    return bytes(out)


def expected(data: bytes, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], itemsize: int) -> bytes:
    places = [offset]
    for length, step in zip(shape, stride, strict=True):
        places = [place + index * step * itemsize for place in places for index in range(length)]
    return b"".join(data[place : place + itemsize] for place in places)


@pytest.mark.parametrize("tile", [16, 100, 1 << 12, 1 << 22])
@pytest.mark.parametrize("dense", [1, 64, 4096])
def test_tiles_of_any_size_give_the_same_items(monkeypatch: pytest.MonkeyPatch, tile: int, dense: int) -> None:
    monkeypatch.setattr(gather, "_TILE_BYTES", tile)
    monkeypatch.setattr(gather, "_READ_BYTES", tile)
    monkeypatch.setattr(gather, "_DENSE_BYTES", dense)
    chosen = random.Random(tile + dense)
    data = chosen.randbytes(1 << 14)
    for _ in range(60):
        itemsize = chosen.choice([1, 2, 4, 8])
        rank = chosen.randint(1, 4)
        shape = tuple(chosen.choice([1, 2, 3, 5, 9]) for _ in range(rank))
        stride = tuple(chosen.choice([0, 1, 2, 3, 7, 20, 45]) for _ in range(rank))
        span = (1 + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))) * itemsize
        if span > len(data):
            continue
        offset = chosen.randrange(len(data) - span + 1)
        assert gathered(data, offset, shape, stride, itemsize) == expected(data, offset, shape, stride, itemsize)


def test_no_read_of_a_large_transposed_matrix_is_large_or_tiny() -> None:
    rows, columns = 4096, 4096
    reads: list[int] = []

    def read(_: int, length: int) -> bytes:
        reads.append(length)
        return bytes(length)

    for _ in gather.pieces(read, offset=0, shape=(rows, columns), stride=(1, rows), itemsize=2):
        pass
    assert max(reads) <= 4 << 20
    assert sum(reads) <= 2 * rows * columns * 2
    assert len(reads) <= 2 * rows * columns * 2 // 1024


@pytest.mark.parametrize(
    ("shape", "stride", "answer"),
    [
        ((), (), True),
        ((3,), (1,), True),
        ((3,), (2,), False),
        ((1, 3), (99, 1), True),
        ((2, 3), (3, 1), True),
        ((2, 3), (1, 2), False),
        ((0, 3), (7, 7), True),
        ((2, 3), (0, 1), False),
    ],
)
def test_row_major_views_are_known(shape: tuple[int, ...], stride: tuple[int, ...], answer: bool) -> None:
    assert gather.is_row_major(shape, stride) is answer
