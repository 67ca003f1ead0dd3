"""Which formats can a blob be read as: every one whose loader would take it.

Content decides; a name is only a hint, and it matters in one case: a file that calls itself a model, code or
configuration, but that no reader takes, is not "unsupported" (no loader semantics) but "incomplete" (not understood).
"""

from collections.abc import Iterable, Mapping

from scanners.reading import Blob, Format

_MODEL_SUFFIXES = frozenset(
    {
        "bin", "caffemodel", "cbm", "ckpt", "dat", "data", "dill", "dnn", "engine", "ggml", "gguf", "h5",
        "hdf5", "index", "jbl", "joblib", "keras", "llamafile", "mar", "meta", "mlmodel", "mlpackage",
        "model", "msgpack", "nemo", "npy", "npz", "onnx", "onnxjson", "onnxtxt", "ort", "params", "pb", "pbtxt",
        "pdmodel", "pdopt", "pdparams", "pickle", "pkl", "plan", "pmml", "pt", "pt2", "pte", "pth", "ptl", "rda",
        "rdata", "rds", "rknn", "safetensors", "sav", "skops", "t7", "textproto", "tflite", "torch", "trt", "ubj",
        "weights", "xgb", "xml",
    }
)  # fmt: skip
_CODE_SUFFIXES = frozenset({"ipynb", "jinja", "jinja2", "json", "jsonl", "py", "pyc", "pyw", "toml", "yaml", "yml"})
_ARCHIVE_SUFFIXES = frozenset(
    {"7z", "bz2", "gz", "lz4", "lzma", "rar", "tar", "tgz", "txz", "whl", "xz", "zip", "zlib", "zst"}
)

_FOREIGN_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"MSCF\x00\x00\x00\x00", "a Cabinet archive"),
    (0, b"LZIP", "an lzip file"),
    (0, b"\x1f\x9d", "a file of the compress program"),
    (0, b"!<arch>\n", "an ar archive"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
)

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_MEDIA_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"%PDF-", "a PDF document"),
    (b"OggS", "an Ogg stream"),
    (b"ID3", "an MP3 file"),
    (b"fLaC", "a FLAC file"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
)


def formats_of(blob: Blob, formats: Iterable[Format], read_by: Mapping[str, str]) -> tuple[Format, ...]:
    """Return every format whose loader would take the blob, in the order given.

    Where a role settles who reads a member (``read_by``, role to format), what it looks like does not matter.
    What a `matches` raises is the engine's to handle.
    """
    settled = {read_by[role] for role in blob.roles if role in read_by}
    if settled:
        return tuple(module for module in formats if module.NAME in settled)
    return tuple(module for module in formats if module.matches(blob))


def suffix_of(name: str) -> str:
    """Return the last suffix of a name in lower case, without its dot."""
    _, dot, suffix = name.rpartition(".")
    # Most formats ask for every member. A separator behind the last dot means that the base name has none.
    return suffix.lower() if dot and "/" not in suffix and "\\" not in suffix else ""


def why_unread(blob: Blob) -> tuple[str, str] | None:
    """Say why a blob that no format took must not pass for harmless, as (code of an anomaly, message).

    None where it is nobody's input.
    """
    if not blob.reader.size:
        return None
    head = blob.reader.read_at(0, 64)
    for offset, magic, what in _FOREIGN_MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return "no-reader", f"no reader for {what}"
    suffix = suffix_of(blob.name)
    kinds = ((_MODEL_SUFFIXES, "a model"), (_CODE_SUFFIXES, "code or configuration"), (_ARCHIVE_SUFFIXES, "an archive"))
    for suffixes, kind in kinds:
        if suffix in suffixes:
            if head.startswith(_LFS_POINTER):
                return "no-reader", "a Git LFS pointer: the file itself was not fetched (git lfs pull)"
            for magic, what in _MEDIA_MAGIC:
                if head.startswith(magic):
                    return "disguised-content", f"named like {kind} (.{suffix}), but it is {what}"
            return "no-reader", f"named like {kind} (.{suffix}), but no reader understands it"
    return None
