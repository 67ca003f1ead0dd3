"""What files that share a worker never reach: code that is not Python."""

import ast
import bz2
import gzip
import io
import lzma
import os
import zipfile
import zlib
from pathlib import Path

import pytest

from modelsign import isolation
from modelsign.isolation.sharing import AloneError, share
from scanners.engine import scan_blob
from scanners.reader import BytesReader, Reader
from tests.builders import checkpoints, pickles, safetensors
from tests.builders.sevenzip import Packed, sevenzip

pytestmark = pytest.mark.skipif(not isolation.layers()[0].available, reason="nothing is forked here")

ROOT = Path(__file__).resolve().parents[3]
BEHIND_OTHERS = {
    ("gzip.py", "matches"),  # by `deflate.Inflate.decompress`
    ("zlib.py", "matches"),
    ("zstd.py", "decompress"),  # by `unpacking.Unpacked`
    ("lz4.py", "decompress"),
}
"""functions that decompress, but where another announces it"""


def zipped(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", b"x" * 100, method)
    return buffer.getvalue()


FOREIGN = {
    "a.gz": gzip.compress(b"x"),
    "a.zlib": zlib.compress(b"x" * 100),
    "a.bz2": bz2.compress(b"x"),
    "a.xz": lzma.compress(b"x"),
    "a.lzma": lzma.compress(b"x", lzma.FORMAT_ALONE),
    "a.7z": sevenzip(Packed(members=[("a.txt", b"x" * 100)])),
    "deflated.zip": zipped(zipfile.ZIP_DEFLATED),
    "bzip2.zip": zipped(zipfile.ZIP_BZIP2),
    "lzma.zip": zipped(zipfile.ZIP_LZMA),
    "old.joblib": b"ZF0x3".ljust(21) + zlib.compress(b"\x80\x02N."),
    "a.py": b"x = 1\n",
    "a.npy": b"\x93NUMPY\1\0\x36\0" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n" + bytes(8),
    "inflating.pkl": pickles.dump(pickles.call("zlib", "decompress", zlib.compress(b"x"))),
}
NATIVE = {
    "a.json": b'{"a": [1, 2.5, "x"]}',
    "a.toml": b"a = 1\n",
    "a.yaml": b"a: 1\n",
    "a.txt": b"words\n",
    "a.jinja": b"{{ messages }}",
    "a.pkl": pickles.dump({"a": [1, 2]}),
    "a.zip": zipped(zipfile.ZIP_STORED),
    "a.pt": checkpoints.torch_zip({"w": checkpoints.tensor("0", (2,))}, {"0": bytes(8)}),
    "a.safetensors": safetensors.safetensors({"w": ("F32", [2], bytes(8))}),
}


def stops(name: str, content: bytes) -> bool:
    """Whether a shared worker leaves the file to another one."""

    def scan(_reader: Reader) -> bytes:
        share()
        try:
            scan_blob(BytesReader(content), name)
        except AloneError:
            return b"stopped"
        return b"scanned"

    scan_blob(BytesReader(content), name)  # what it imports is there
    with Path(os.devnull).open("rb") as nothing:
        return isolation.ask(scan, nothing.fileno(), 0) == b"stopped"


@pytest.mark.parametrize("name", FOREIGN)
def test_a_shared_worker_stops_short_of(name: str) -> None:
    assert stops(name, FOREIGN[name])


@pytest.mark.parametrize("name", NATIVE)
def test_a_shared_worker_reads(name: str) -> None:
    assert not stops(name, NATIVE[name])


def test_every_decompressor_is_announced() -> None:
    silent = {
        (path.name, function.name)
        for path in ROOT.glob("scanners/**/*.py")
        for function in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "decompress"
        and "native.meet(" not in ast.unparse(function)
    }
    assert silent == BEHIND_OTHERS


HARMLESS = set(
    "__future__ _compat_pickle array collections dataclasses enum functools gc itertools math operator os posixpath"
    " pathlib sys types typing warnings logging base64 binascii codecs hashlib html json re struct jinja2 tomllib"
    " scanners".split()
)
"""of Python, or of the interpreter itself: its containers, codecs, regular expressions, digests, the scanner of JSON"""
ANNOUNCED = {"ast", "bz2", "lz4", "lzma", "zlib", "zstandard"}


def test_no_other_native_code_is_imported() -> None:
    """Who adds a name here says how it is announced, or why what it reads cannot hurt it."""
    imported = {
        name.partition(".")[0]
        for path in ROOT.glob("scanners/**/*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        for name in _names(node)
    }
    assert imported <= HARMLESS | ANNOUNCED


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
