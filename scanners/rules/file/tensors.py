"""Tensors and headers whose numbers do not fit the bytes (MS3xx)."""

from collections.abc import Iterator

from scanners.facts import Tensor
from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found, found_anomalies

SAFETENSORS_STRUCTURE = Rule(
    id="MS301",
    name="safetensors-structure",
    severity=Severity.MEDIUM,
    summary="A safetensors header describes ranges that overlap, leave holes or contradict themselves",
    fix="Write the file anew with the safetensors library; it refuses to read this one.",
    cwe="CWE-20",
)
TENSOR_OUTSIDE_STORAGE = Rule(
    id="MS302",
    name="tensor-outside-storage",
    severity=Severity.MEDIUM,
    summary="A tensor reaches beyond the bytes of its storage",
    fix="Do not load it with a torch older than 2.10; ask for the checkpoint in safetensors.",
    cwe="CWE-125",
)
SAFETENSORS_TRAILING_BYTES = Rule(
    id="MS303",
    name="safetensors-trailing-bytes",
    severity=Severity.MEDIUM,
    summary="Bytes behind the last tensor of a safetensors file belong to no tensor",
    fix="Write the file anew with the safetensors library; what lies behind the tensors is no part of the model.",
    cwe="CWE-506",
)

RULES: tuple[Rule, ...] = (SAFETENSORS_STRUCTURE, TENSOR_OUTSIDE_STORAGE, SAFETENSORS_TRAILING_BYTES)

_BY_CODE = {
    "safetensors-header": SAFETENSORS_STRUCTURE,
    "safetensors-layout": SAFETENSORS_STRUCTURE,
    "safetensors-trailing-bytes": SAFETENSORS_TRAILING_BYTES,
}

_BYTES: dict[str, int] = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1, "F4": 1,
    "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4,
    "I64": 8, "U64": 8, "F64": 8, "C64": 8, "complex128": 16, "complex32": 4,
}  # fmt: skip
"""bytes of one element as torch counts them: its F4 packs two values into one"""


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge headers and tensor facts."""
    yield from found_anomalies(facts, _BY_CODE)
    reach: dict[object, int | None] = {}
    for fact in facts.facts:
        if isinstance(fact, Tensor) and fact.stride is not None and fact.storage_bytes is not None:
            # Most layers of a model are like others.
            layout = fact.shape, fact.stride, fact.storage_offset, fact.dtype
            if layout in reach:
                needed = reach[layout]
            else:
                needed = reach[layout] = bytes_needed(fact)
            if needed is not None and needed > fact.storage_bytes:
                yield found(
                    TENSOR_OUTSIDE_STORAGE,
                    facts,
                    fact.location,
                    f"the tensor {fact.name!r} needs {needed} bytes of storage {fact.storage!r}, "
                    f"which has {fact.storage_bytes}",
                    evidence=f"shape {fact.shape}, stride {fact.stride}, offset {fact.storage_offset}, {fact.dtype}",
                )


def bytes_needed(tensor: Tensor) -> int | None:
    """Return how many bytes of its storage a strided tensor reaches into; None where its dtype is unknown."""
    width = _BYTES.get(tensor.dtype)
    if width is None or tensor.stride is None or len(tensor.stride) != len(tensor.shape):
        return None
    if 0 in tensor.shape:
        return 0
    elements = tensor.storage_offset + 1
    for size, step in zip(tensor.shape, tensor.stride, strict=True):
        elements += (size - 1) * step
    return elements * width
