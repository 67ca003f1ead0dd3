from hypothesis import given
from hypothesis import strategies as st

from modelsign.conversion.chunks import batches, chunks
from modelsign.conversion.dtypes import DTYPES
from modelsign.conversion.output import Layout
from modelsign.conversion.plan import PlannedTensor


def layout(sizes: list[int], header: int = 0) -> Layout:
    tensors = tuple(
        PlannedTensor(name=str(index), dtype=DTYPES["U8"], shape=(size,), store=0, offset=0)
        for index, size in enumerate(sizes)
    )
    offsets = tuple(header + sum(sizes[:index]) for index in range(len(sizes)))
    return Layout(header=bytes(header), order=tensors, offsets=offsets, size=header + sum(sizes))


SIZES = st.lists(st.integers(0, 40), max_size=12)


@given(sizes=SIZES, header=st.integers(0, 20), chunk=st.integers(1, 16))
def test_chunks_hold_every_byte_once_and_in_order(sizes: list[int], header: int, chunk: int) -> None:
    cut = list(chunks(layout(sizes, header), range(len(sizes)), chunk))
    position = header
    told = [0] * len(sizes)
    for place, pieces in cut:
        assert place == position
        for index, begin, length in pieces:
            assert begin == told[index]
            told[index] += length
            position += length
    assert told == sizes
    assert {index for _, pieces in cut for index, _, _ in pieces} == set(range(len(sizes)))


@given(sizes=SIZES, header=st.integers(0, 20), chunk=st.integers(1, 16))
def test_chunks_never_cross_a_multiple_of_their_size(sizes: list[int], header: int, chunk: int) -> None:
    for place, pieces in chunks(layout(sizes, header), range(len(sizes)), chunk):
        length = sum(length for _, _, length in pieces)
        assert not length or place // chunk == (place + length - 1) // chunk


@given(sizes=SIZES, least=st.integers(1, 50), threads=st.integers(1, 4))
def test_batches_hold_every_tensor_once(sizes: list[int], least: int, threads: int) -> None:
    found = batches(layout(sizes), least, threads=threads)
    assert sorted(index for batch in found for index in batch) == list(range(len(sizes)))


def test_small_tensors_share_a_batch() -> None:
    assert batches(layout([4] * 10), 12, threads=2) == [range(3), range(3, 6), range(6, 9), range(9, 10)]


def test_what_is_large_is_alone() -> None:
    assert batches(layout([4, 4, 20, 4]), 12, threads=2) == [range(2, 3), range(2), range(3, 4)]


def test_what_is_large_comes_first() -> None:
    sizes = [10] * 20 + [300, 10, 500, 10]
    found = batches(layout(sizes), 10, threads=2)
    assert found[:3] == [range(22, 23), range(20, 21), range(1)]
