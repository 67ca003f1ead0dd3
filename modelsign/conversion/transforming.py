"""Tensors whose bytes in the output are not the source's own: gathered, swapped, conjugated or negated on the way."""

from collections.abc import Iterator

from modelsign.conversion.gather import pieces
from modelsign.conversion.origins import Origin
from modelsign.conversion.plan import PlannedTensor

_CHUNK = 256 << 10


def transformed(origin: Origin, tensor: PlannedTensor) -> Iterator[tuple[int, bytes]]:
    """Yield (offset in the tensor, bytes as they are to be written), every byte once, not always in order."""
    if not tensor.size:
        return
    if tensor.stride is None:
        source = _sequential(origin, tensor)
    else:
        source = pieces(
            origin.read_at,
            offset=tensor.offset,
            shape=tensor.item_shape,
            stride=tensor.stride,
            itemsize=tensor.dtype.itemsize,
        )
    for offset, data in source:
        yield offset, resolved(data, tensor)


def _sequential(origin: Origin, tensor: PlannedTensor) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < tensor.size:
        data = origin.read_at(tensor.offset + position, min(_CHUNK, tensor.size - position))
        yield position, data
        position += len(data)


def resolved(data: bytes, tensor: PlannedTensor) -> bytes:
    """Return items with byte order, conjugation and negation carried out."""
    if tensor.swap > 1:
        data = _swapped(data, tensor.swap)
    if not tensor.conj and not tensor.neg:
        return data
    import numpy as np

    width = tensor.dtype.swap
    parts = np.frombuffer(data, dtype=f"<u{width}").copy()
    if tensor.dtype.kind == "i":
        np.invert(parts, out=parts)
        parts += np.array(1, dtype=parts.dtype)
        return parts.tobytes()
    # Negating a float flips its sign bit, also that of NaN and zero.
    sign = np.array(1 << (8 * width - 1), dtype=parts.dtype)
    if tensor.neg:
        parts ^= sign
    if tensor.conj:
        parts[1::2] ^= sign
    return parts.tobytes()


def _swapped(data: bytes, width: int) -> bytes:
    from array import array

    code = {2: "H", 4: "I", 8: "Q"}[width]
    parts = array(code, data)
    parts.byteswap()
    return parts.tobytes()
