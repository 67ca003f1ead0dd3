"""How the work on an output is cut: into batches worth a thread's turn, and these into chunks that fill a buffer."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from modelsign.conversion.output import Layout

Piece: TypeAlias = tuple[int, int, int]
"""(position of a tensor in the layout, offset in that tensor, length)"""


def batches(layout: Layout, least: int, *, threads: int) -> list[range]:
    """Cut the tensors into ranges of at least ``least`` bytes; a tensor of that size has one of its own.

    They come in the order in which threads should take them: that of the file, except that what is so large that a
    thread could be left alone with it at the end comes first.
    """
    found: list[tuple[int, range]] = []
    first = 0
    size = 0
    for index, tensor in enumerate(layout.order):
        if tensor.size >= least and first < index:
            found.append((size, range(first, index)))
            first, size = index, 0
        size += tensor.size
        if size >= least:
            found.append((size, range(first, index + 1)))
            first, size = index + 1, 0
    found.append((size, range(first, len(layout.order))))
    large = layout.size // (8 * threads)
    found.sort(key=lambda batch: min(0, large - batch[0]))
    return [batch for _, batch in found]


def chunks(layout: Layout, indices: Sequence[int], size: int) -> Iterator[tuple[int, list[Piece]]]:
    """Yield (place in the output, pieces) of tensors that are neighbours there.

    Cuts lie at multiples of ``size`` in the output, so that whole pages of it are written at once.
    """
    place = layout.offsets[indices[0]] if indices else 0
    room = size - place % size
    pieces: list[Piece] = []
    for index in indices:
        length = layout.order[index].size
        begin = 0
        while length - begin >= room:
            pieces.append((index, begin, room))
            yield place, pieces
            place, begin, room, pieces = place + sum(piece[2] for piece in pieces), begin + room, size, []
        if begin < length or not length:
            pieces.append((index, begin, length - begin))
            room -= length - begin
    if pieces:
        yield place, pieces
