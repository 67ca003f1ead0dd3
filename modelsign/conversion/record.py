"""What a conversion did, as values and as the JSON of ``--record``: who was read, what was written, bit by bit.

The record is deterministic: no times, no host facts, names without the directories above them. A provenance statement
is made from it, so reading it back is strict: an unknown schema or a malformed field is refused, unknown fields are
ignored. The directory form of a conversion (shards) has several sources and targets; a single file has one of each.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from modelsign.errors import SourceError
from modelsign.json_fields import count, explain, flag, items, mapping, string
from modelsign.regular import read_regular
from modelsign.version import __version__

SCHEMA = "modelsign.conversion/v1"
_RECORD_LIMIT = 1 << 28
_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """A file that was read or written."""

    name: str
    """base name of a single file; path relative to the directory that was converted, POSIX"""
    size: int
    sha256: str | None = None
    """plain hex of the whole file; None unless digests were asked for"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRecord:
    """One tensor as it was written."""

    name: str
    dtype: str
    """safetensors' name"""
    shape: tuple[int, ...]
    sha256: str | None
    """plain hex of the tensor's little-endian, row-major bytes; None when nothing was written or nothing was hashed"""
    file: str
    """name of the target it lies in"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something in the source that is not in the output."""

    path: str
    """dotted path in the source's object; for a whole file its name"""
    kind: str
    """what it is, in a few words: `int`, `dict`, `argparse.Namespace`, `file`"""
    tensors: int = 0
    """tensors below it"""
    values: int = 0
    """other leaves below it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A finished (or, for a dry run, a planned) conversion."""

    format: str
    """what the source was read as: `torch-zip`, `torch-legacy`, `npz` …"""
    sources: tuple[FileIdentity, ...]
    targets: tuple[FileIdentity, ...]
    tensors: tuple[TensorRecord, ...]
    """sorted by name"""
    aliases: tuple[tuple[str, str], ...] = ()
    """(name, kept name) of tied tensors, sorted; each is in the metadata of the target that holds the kept one"""
    wrapper: str | None = None
    """the part of the source's object that was taken, None for all of it"""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """what a reader of the report should know, one sentence each"""
    needs_safetensors: str = "0.3"
    """the oldest safetensors release that reads the output's dtypes"""
    verified: bool = True
    """whether the output was read again and compared byte by byte"""
    written: bool = True
    """False for a dry run"""
    tool_version: str = __version__

    @property
    def source(self) -> FileIdentity:
        """The source of a single-file conversion (the first one otherwise)."""
        return self.sources[0]

    @property
    def target(self) -> FileIdentity:
        """The target of a single-file conversion (the first one otherwise)."""
        return self.targets[0]

    def to_record(self) -> dict[str, object]:
        """Return the record as plain JSON values."""
        return self._record([_tensor(tensor) for tensor in self.tensors])

    def _record(self, tensors: list[dict[str, object]]) -> dict[str, object]:
        return {
            "schema": SCHEMA,
            "tool": {"name": "modelsign", "version": self.tool_version},
            "format": self.format,
            "pickleExecuted": False,
            "tensorEquality": "bitwise" if self.verified else "unverified",
            "sources": [_identity(file) for file in self.sources],
            "targets": [_identity(file) for file in self.targets],
            "tensors": tensors,
            "aliases": dict(self.aliases),
            "wrapper": self.wrapper,
            "left_out": [
                {"path": item.path, "kind": item.kind, "tensors": item.tensors, "values": item.values}
                for item in self.left_out
            ],
            "notes": list(self.notes),
            "needs_safetensors": self.needs_safetensors,
            "written": self.written,
        }

    def to_json(self) -> bytes:
        """Return the record as the bytes of a record file."""
        encode = json.JSONEncoder(indent=1, sort_keys=True).encode
        if not self.tensors:
            return (encode(self.to_record()) + "\n").encode("ascii")
        # Tensor by tensor: as one value, those of a large model would take ten times the text. Quotes inside strings
        # are escaped, so the empty list is found where it was put.
        before, found, after = encode(self._record([])).partition('"tensors": []')
        lines = bytearray((before + found[:-1]).encode("ascii"))
        separator = "\n  "
        for tensor in self.tensors:
            lines += (separator + encode(_tensor(tensor)).replace("\n", "\n  ")).encode("ascii")
            separator = ",\n  "
        lines += f"\n ]{after}\n".encode("ascii")
        return bytes(lines)


def _tensor(tensor: TensorRecord) -> dict[str, object]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "sha256": tensor.sha256,
        "file": tensor.file,
    }


def _identity(file: FileIdentity) -> dict[str, object]:
    return {"name": file.name, "size": file.size, "sha256": file.sha256}


def read_record(path: str | Path) -> Conversion:
    """Read a record file that `Conversion.to_json` wrote.

    Raises:
        SourceError: the file cannot be read, or it is not a conversion record of a version this tool knows.
    """
    path = Path(path)
    try:
        data = read_regular(path, _RECORD_LIMIT, what="the conversion record")
    except FileNotFoundError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        record = json.loads(data)
        return _parse(record)
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise SourceError(f"{path}: not a conversion record ({SCHEMA}): {explain(error)}") from error


def _parse(record: object) -> Conversion:
    fields = mapping(record)
    if fields.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {fields.get('schema')!r}")
    if fields.get("pickleExecuted") is not False:
        raise ValueError("pickleExecuted is not false")
    return Conversion(
        format=string(fields["format"]),
        sources=tuple(_read_identity(item) for item in items(fields["sources"])),
        targets=tuple(_read_identity(item) for item in items(fields["targets"])),
        tensors=tuple(_read_tensor(item) for item in items(fields["tensors"])),
        aliases=tuple(sorted((name, string(kept)) for name, kept in mapping(fields["aliases"]).items())),
        wrapper=None if fields["wrapper"] is None else string(fields["wrapper"]),
        left_out=tuple(_read_left_out(item) for item in items(fields["left_out"])),
        notes=tuple(string(item) for item in items(fields["notes"])),
        needs_safetensors=string(fields["needs_safetensors"]),
        verified=fields["tensorEquality"] == "bitwise",
        written=flag(fields["written"]),
        tool_version=string(mapping(fields["tool"])["version"]),
    )


def _read_identity(value: object) -> FileIdentity:
    fields = mapping(value)
    return FileIdentity(name=string(fields["name"]), size=count(fields["size"]), sha256=_digest(fields["sha256"]))


def _read_tensor(value: object) -> TensorRecord:
    fields = mapping(value)
    return TensorRecord(
        name=string(fields["name"]),
        dtype=string(fields["dtype"]),
        shape=tuple(count(size) for size in items(fields["shape"])),
        sha256=_digest(fields["sha256"]),
        file=string(fields["file"]),
    )


def _read_left_out(value: object) -> LeftOut:
    fields = mapping(value)
    return LeftOut(
        path=string(fields["path"]),
        kind=string(fields["kind"]),
        tensors=count(fields["tensors"]),
        values=count(fields["values"]),
    )


def _digest(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _HEX.match(value):
        raise ValueError("a digest is not 64 hexadecimal digits")
    return value
