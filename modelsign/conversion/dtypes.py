"""The element types of checkpoints and what safetensors calls them (safetensors/src/tensor.rs, `Dtype`).

Byte order is a matter of `swap`: the width of the parts that are reversed in a big-endian source. A complex number is
two floats, so it is swapped in halves. Types of one byte and less have no byte order.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DType:
    """An element type of safetensors."""

    name: str
    bits: int
    swap: int
    """width in bytes of the parts a big-endian file stores reversed; 1 for none"""
    kind: str
    """`f` float, `i` signed, `u` unsigned, `b` bool, `c` complex, `x` packed"""
    since: tuple[int, int, int]
    """the oldest safetensors release that knows it (from its tags)"""

    def bytes_of(self, elements: int) -> int:
        """Return how many bytes ``elements`` elements take; a fraction of a byte is the caller's error."""
        whole, rest = divmod(elements * self.bits, 8)
        assert not rest
        return whole

    @property
    def itemsize(self) -> int:
        """Bytes of one stored item: for the packed four-bit type one byte holds two elements."""
        return max(1, self.bits // 8)


def _dtype(name: str, bits: int, kind: str, since: tuple[int, int, int], swap: int | None = None) -> DType:
    return DType(name=name, bits=bits, swap=max(1, bits // 8) if swap is None else swap, kind=kind, since=since)


_EVER = (0, 3, 0)

DTYPES: dict[str, DType] = {
    dtype.name: dtype
    for dtype in (
        _dtype("F64", 64, "f", _EVER),
        _dtype("F32", 32, "f", _EVER),
        _dtype("F16", 16, "f", _EVER),
        _dtype("BF16", 16, "f", _EVER),
        _dtype("I64", 64, "i", _EVER),
        _dtype("I32", 32, "i", _EVER),
        _dtype("I16", 16, "i", _EVER),
        _dtype("I8", 8, "i", _EVER),
        _dtype("U8", 8, "u", _EVER),
        _dtype("BOOL", 8, "b", _EVER),
        _dtype("U16", 16, "u", _EVER),
        _dtype("U32", 32, "u", _EVER),
        _dtype("U64", 64, "u", _EVER),
        _dtype("F8_E4M3", 8, "x", (0, 4, 1)),
        _dtype("F8_E5M2", 8, "x", (0, 4, 1)),
        _dtype("F8_E8M0", 8, "x", (0, 6, 0)),
        _dtype("F4", 4, "x", (0, 6, 0)),
        _dtype("C64", 64, "c", (0, 7, 0), swap=4),
        _dtype("F8_E4M3FNUZ", 8, "x", (0, 8, 0)),
        _dtype("F8_E5M2FNUZ", 8, "x", (0, 8, 0)),
    )
}

FROM_TORCH: dict[str, str] = {
    "float64": "F64",
    "double": "F64",
    "float32": "F32",
    "float": "F32",
    "float16": "F16",
    "half": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "long": "I64",
    "int32": "I32",
    "int": "I32",
    "int16": "I16",
    "short": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "complex64": "C64",
    "cfloat": "C64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float4_e2m1fn_x2": "F4",
}
"""torch's dtype name -> safetensors' name; `float4_e2m1fn_x2` doubles the last dimension (two elements a byte)"""

FROM_NUMPY: dict[str, str] = {
    "f8": "F64",
    "f4": "F32",
    "f2": "F16",
    "i8": "I64",
    "i4": "I32",
    "i2": "I16",
    "i1": "I8",
    "u8": "U64",
    "u4": "U32",
    "u2": "U16",
    "u1": "U8",
    "b1": "BOOL",
    "c8": "C64",
}
"""numpy's type string without its byte order -> safetensors' name"""

FROM_NAME: dict[str, str] = {
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
}
"""`numpy.dtype.name` (with the names that ml_dtypes adds) -> safetensors' name"""

WHAT_INSTEAD: dict[str, str] = {
    "complex128": "safetensors has no complex128; save `tensor.to(torch.complex64)` or its real and imaginary parts",
    "complex32": "safetensors has no complex32; save `torch.view_as_real(tensor)`",
    "longdouble": "safetensors has no extended precision; save `array.astype('float64')`",
    "object": "an array of objects holds no numbers; save its elements as arrays of their own",
    "structured": "safetensors has no records; save each field as an array of its own",
    "str": "text is not a tensor; keep it beside the weights",
}
"""dtype without a counterpart -> what a user can do"""


def needed_version(names: "set[str]") -> str:
    """Return the oldest safetensors release that reads all of these types, as `major.minor[.patch]`."""
    since = max((DTYPES[name].since for name in names), default=_EVER)
    return ".".join(map(str, since if since[2] else since[:2]))
