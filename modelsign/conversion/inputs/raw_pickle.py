"""A bare pickle of arrays or tensors, joblib's with arrays between the opcodes, and PaddlePaddle's `.pdparams`.

Paddle splits arrays of a gigabyte and more when it writes pickle protocol 2 or 3: the parts lie beside each other under
names of their own, and `UnpackBigParamInfor@@` says how they belong together (paddle/framework/io_utils.py,
`_unpack_saved_dict`). They become one tensor again, without being joined in memory.
"""

from dataclasses import replace
from math import prod

from modelsign.conversion.inputs.assembly import (
    StorageBytes,
    Stores,
    checked_run,
    plan_tree,
    raw_store,
    text_reader,
)
from modelsign.conversion.inputs.nested_torch import NestedStorages
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import Encoding, Plan, PlannedTensor, Store
from modelsign.errors import ConversionError
from scanners.pickles.inline_arrays import is_wrapper
from scanners.pickles.machine import PickleRun, run
from scanners.pickles.values import Mapping, Span, TensorValue, Value
from scanners.reader import Reader

_SPLIT = "UnpackBigParamInfor@@"
_NAMES = "StructuredToParameterName@@"
_LINE_ENDS = b"\r\n"
"""what editors put behind the last byte of a file"""
_TEXT_STARTS = frozenset(b"(]})lcd")


def is_pickle(reader: Reader) -> bool:
    """Return whether a file may be one pickle: it begins like one and ends with STOP."""
    head = reader.read_at(0, 2)
    if len(head) < 2:
        return False
    end = reader.read_at(max(0, reader.size - 3), min(3, reader.size))
    if head[0] == 0x80 and head[1] <= 5:
        return end.rstrip(_LINE_ENDS).endswith(b".")
    return head[0] in _TEXT_STARTS and end.endswith(b".")


def parse(reader: Reader, request: Request) -> Plan:
    """Read a pickle of arrays.

    Raises:
        ConversionError: it is refused.
        ScanError: it is malformed.
    """
    first = run(reader, budget=request.budget)
    joblib = any(name.name.rpartition(".")[2] == "NumpyArrayWrapper" for name in first.imports)
    result = checked_run(reader, "the pickle", request.budget, inline_arrays=joblib)
    rest = reader.size - (result.stop or 0)
    if rest > len(_LINE_ENDS) or reader.read_at(reader.size - rest, rest).strip(_LINE_ENDS):
        raise ConversionError(f"{rest} bytes follow the pickle; split the file first")
    stores = Stores()
    whole: list[int] = []

    def pickle_store() -> int:
        if not whole:
            whole.append(stores.add(raw_store("the pickle", 0, reader.size)))
        return whole[0]

    nested = NestedStorages(reader, stores, pickle_store, request.budget)
    nested.check(result.calls)

    def storage(tensor: TensorValue) -> StorageBytes:
        if tensor.storage_key in nested.places:
            return nested.places[tensor.storage_key]
        raise ConversionError(
            f"storage {tensor.storage_key!r}: a bare pickle does not hold torch's storages; save with torch.save"
        )

    paddle = _paddle(result.root, reader)
    kind = "joblib" if joblib else "numpy-pickle"
    plan = plan_tree(
        result.root,
        request=request,
        reader=reader,
        stores=stores,
        pickle_store=pickle_store,
        storage=storage,
        big_endian=False,
        format_name=kind if paddle is None else "paddle",
        inline=_inline(result) if joblib else None,
        resolve=nested.resolve,
    )
    if nested.places:
        plan = replace(plan, format="torch-pickle")
    if paddle is None:
        return plan
    plan = _joined(plan, paddle)
    if any(tensor.dtype.name == "U16" for tensor in plan.tensors):
        note = "PaddlePaddle writes bfloat16 as uint16 and does not say so: U16 tensors may hold bfloat16"
        plan = replace(plan, notes=(*plan.notes, note))
    return plan


def _inline(result: PickleRun) -> dict[int, tuple[int, int]]:
    """Return where joblib's arrays lie. Wrappers are completed in the order they are made, none inside another."""
    wrappers = [made for made in result.calls if is_wrapper(made)]
    if result.inner or len(wrappers) != len(result.arrays):
        raise ConversionError("holds arrays of objects, which are no numbers; save its arrays with numpy.savez")
    return {id(made): place for made, place in zip(wrappers, result.arrays, strict=True)}


def _paddle(root: Value, reader: Reader) -> dict[str, tuple[tuple[int, ...], tuple[str, ...]]] | None:
    """Return the split arrays (name -> shape and parts) of a Paddle file; None for any other pickle."""
    entries = _named(root, reader)
    if _SPLIT not in entries and _NAMES not in entries:
        return None
    split: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {}
    for name, value in _named(entries.get(_SPLIT), reader).items():
        fields = _named(value, reader)
        shape, parts = fields.get("OriginShape"), fields.get("slices")
        if not isinstance(shape, tuple | list) or not isinstance(parts, list):
            raise ConversionError(f"array {name!r}: Paddle's note about its parts is not understood")
        lengths = tuple(length for length in shape if isinstance(length, int) and 0 <= length < 1 << 63)
        names = tuple(part for part in parts if isinstance(part, str))
        if len(lengths) != len(shape) or len(names) != len(parts):
            raise ConversionError(f"array {name!r}: Paddle's note about its parts is not understood")
        split[name] = (lengths, names)
    return split


def _named(value: Value, reader: Reader) -> dict[str, Value]:
    if not isinstance(value, Mapping):
        return {}
    read = text_reader(reader)
    named: dict[str, Value] = {}
    for key, item in value.entries:
        text = read(key) if isinstance(key, Span) and key.kind == "str" else key
        if isinstance(text, str):
            named[text] = item
    return named


def _joined(plan: Plan, split: dict[str, tuple[tuple[int, ...], tuple[str, ...]]]) -> Plan:
    if not split:
        return plan
    tensors = {tensor.name: tensor for tensor in plan.tensors}
    stores = list(plan.stores)
    for name, (shape, parts) in sorted(split.items()):
        if name in tensors or not parts or len(set(parts)) != len(parts) or not all(part in tensors for part in parts):
            raise ConversionError(f"array {name!r}: its parts are not in the file")
        pieces = [tensors.pop(part) for part in parts]
        first = pieces[0]
        if any(piece.dtype != first.dtype or not piece.verbatim or len(piece.shape) != 1 for piece in pieces):
            raise ConversionError(f"array {name!r}: its parts do not fit together")
        if sum(piece.shape[0] for piece in pieces) != prod(shape):
            raise ConversionError(f"array {name!r}: its parts have another size than its shape")
        stores.append(_together(name, [stores[piece.store] for piece in pieces]))
        tensors[name] = PlannedTensor(name=name, dtype=first.dtype, shape=shape, store=len(stores) - 1, offset=0)
    return replace(plan, stores=tuple(stores), tensors=tuple(tensors.values()))


def _together(name: str, parts: list[Store]) -> Store:
    first = parts[0]
    if any(part.encoding is not first.encoding or part.base != first.base for part in parts):
        raise ConversionError(f"array {name!r}: its parts do not fit together")
    if first.encoding is Encoding.INLINE:
        data = b"".join(part.data for part in parts)
        return Store(name=name, encoding=Encoding.INLINE, size=len(data), data=data)
    return Store(
        name=name,
        encoding=first.encoding,
        size=sum(part.size for part in parts),
        segments=tuple(segment for part in parts for segment in part.segments),
        base=first.base,
    )
