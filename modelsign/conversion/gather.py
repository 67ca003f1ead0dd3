"""Strided views in constant memory: a plan of tiles, each read from the source and put in its place in the output.

A transposed matrix of 4 GiB is neither mapped nor loaded: it is cut into tiles that are wide both along the source's
rows and along the output's, so that no read and no write is tiny. Only views that are not row-major come here, and only
they import numpy.
"""

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Items = npt.NDArray[np.uint8 | np.uint16 | np.uint32 | np.uint64]

_TILE_BYTES = 4 << 20
_READ_BYTES = 4 << 20
_DENSE_BYTES = 4096

ReadAt = Callable[[int, int], bytes]
"""(offset in bytes, length) -> bytes of the store"""


def is_row_major(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Return whether a view reads its items one after the other."""
    if 0 in shape:
        return True
    expected = 1
    for length, step in zip(reversed(shape), reversed(stride), strict=True):
        if length != 1 and step != expected:
            return False
        expected *= length
    return True


def merged(shape: tuple[int, ...], stride: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the same view with as few dimensions as it needs."""
    lengths: list[int] = []
    steps: list[int] = []
    for length, step in zip(shape, stride, strict=True):
        if length == 1:
            continue
        if lengths and steps[-1] == step * length:
            lengths[-1] *= length
            steps[-1] = step
        else:
            lengths.append(length)
            steps.append(step)
    return tuple(lengths) or (1,), tuple(steps) or (1,)


def pieces(
    read: ReadAt, *, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], itemsize: int
) -> Iterator[tuple[int, bytes]]:
    """Yield (offset in the output, bytes) of a view, every output byte exactly once, not always in order.

    Args:
        read: gives bytes of the store.
        offset: of the first item, in bytes.
        shape: in items.
        stride: in items, none negative.
        itemsize: bytes of an item.
    """
    import numpy as np

    if not prod(shape):
        return
    lengths, steps = merged(shape, stride)
    items = np.dtype(f"u{itemsize}")
    out_steps = _row_major(lengths)
    for starts, counts in _tiles(lengths, steps, itemsize):
        tile: Items = np.empty(counts, dtype=items)
        begin = offset + itemsize * _dot(starts, steps)
        _fill(tile, read, begin, steps, itemsize)
        yield from _runs(tile, lengths, starts, out_steps, itemsize)


def _row_major(lengths: tuple[int, ...]) -> tuple[int, ...]:
    steps = []
    step = 1
    for length in reversed(lengths):
        steps.append(step)
        step *= length
    return tuple(reversed(steps))


def _dot(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _tiles(
    lengths: tuple[int, ...], steps: tuple[int, ...], itemsize: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield (start, size) boxes that cover the view: square in the two dimensions that matter, then as tall as fits."""
    budget = max(1, _TILE_BYTES // itemsize)
    counts = [1] * len(lengths)
    inner_out = len(lengths) - 1
    moving = [axis for axis in range(len(lengths)) if steps[axis]]
    inner_in = min(moving, key=lambda axis: steps[axis], default=inner_out)
    if inner_in == inner_out:
        counts[inner_out] = min(lengths[inner_out], budget)
    else:
        side = max(1, int(budget**0.5))
        counts[inner_in] = min(lengths[inner_in], side)
        counts[inner_out] = min(lengths[inner_out], max(1, budget // counts[inner_in]))
        counts[inner_in] = min(lengths[inner_in], max(1, budget // counts[inner_out]))
    for axis in reversed(range(len(lengths))):
        if axis not in {inner_in, inner_out}:
            counts[axis] = min(lengths[axis], max(1, budget // prod(counts)))
    ranges = [range(0, length, count) for length, count in zip(lengths, counts, strict=True)]
    for starts in product(*ranges):
        yield (
            starts,
            tuple(min(count, length - start) for count, length, start in zip(counts, lengths, starts, strict=True)),
        )


def _fill(tile: "Items", read: ReadAt, begin: int, steps: tuple[int, ...], itemsize: int) -> None:
    """Read a tile's items: in one go where they lie close together, else half by half along the widest step."""
    import numpy as np

    pending: list[tuple[Items, int]] = [(tile, begin)]
    while pending:
        part, start = pending.pop()
        span = itemsize * (1 + sum((length - 1) * step for length, step in zip(part.shape, steps, strict=True)))
        if span <= _DENSE_BYTES or (span <= _READ_BYTES and span <= 2 * part.nbytes) or part.size == 1:
            data = read(start, span)
            part[...] = np.ndarray(
                part.shape, dtype=part.dtype, buffer=data, strides=tuple(step * itemsize for step in steps)
            )
            continue
        axis = max(
            (axis for axis in range(part.ndim) if part.shape[axis] > 1),
            key=lambda axis: steps[axis] * (part.shape[axis] - 1),
        )
        half = part.shape[axis] // 2
        low, high = np.split(part, [half], axis=axis)
        pending.append((high, start + half * steps[axis] * itemsize))
        pending.append((low, start))


def _runs(
    tile: "Items", lengths: tuple[int, ...], starts: tuple[int, ...], out_steps: tuple[int, ...], itemsize: int
) -> Iterator[tuple[int, bytes]]:
    """Yield the tile's rows, the longest runs that are contiguous in the output."""
    whole = len(lengths)
    while whole > 0 and tile.shape[whole - 1] == lengths[whole - 1]:
        whole -= 1
    # Dimensions from `whole` on are complete, so the one before them is a contiguous range as well.
    outer = max(0, whole - 1)
    for index in product(*(range(length) for length in tile.shape[:outer])):
        place = _dot(starts, out_steps) + _dot(index, out_steps[:outer])
        yield place * itemsize, tile[index].tobytes()
