"""Checkpoint -> safetensors, executing nothing.

parse (reads the source, untrusted) -> plan (bounded JSON) -> writer (copies bytes, parses no pickle) -> record
"""

from typing import TYPE_CHECKING

from modelsign.conversion.record import Conversion, FileIdentity, LeftOut, TensorRecord, read_record

if TYPE_CHECKING:
    from modelsign.conversion.converting import convert

__all__ = ["Conversion", "FileIdentity", "LeftOut", "TensorRecord", "convert", "read_record"]


def __getattr__(name: str) -> object:
    # Reading a record (attest, release) does not pay for the converter.
    if name == "convert":
        from modelsign.conversion.converting import convert

        return convert
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
