"""TorchScript sources inside an archive of `torch.jit.save`: which operators they call that reach outside the model.

TorchScript looks like Python and is not: it can do arithmetic, and what its operators do. Two of those write and read
files (`aten::save`, `aten::from_file`); operators outside torch's own namespaces come from libraries that the loading
process must have brought in. `__setstate__` (and `__init__` of script classes) runs while the model is loaded, the rest
when it is used. Literals are stepped over, so that a name in a string is no call.

Source: torch 2.13, `torch/csrc/jit/serialization/python_print.cpp` (how operators are printed: `torch.save(…)` for
`aten::save`, `ops.namespace.name(…)` for all others).
"""

import ast
from collections.abc import Iterator
from typing import Final

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Operator
from scanners.formats.python_source import ROLE as PYTHON
from scanners.formats.torch_zip import SCRIPT_SOURCE
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "torchscript"

_TOKEN: Final = late(
    r'"(?:[^"\\\n]|\\.)*"'  # a literal: the printer escapes quotes and line ends
    r"|'(?:[^'\\\n]|\\.)*'"
    r"|\b(?:def|class)\s+(?P<definition>\w+)"
    r"|\b(?P<operator>(?:torch|ops\.\w+)(?:\.\w+)+)\s*\("
)
_FILES: Final = frozenset({"torch.save", "torch.from_file", "ops.aten.save", "ops.aten.from_file"})
_OWN: Final = frozenset(
    {"aten", "prim", "prims", "quantized", "quantized_decomposed", "_quantized", "prepacked", "sparse", "mkldnn",
     "mkldnn_prepacked", "onednn", "xnnpack", "profiler", "cuda", "cudnn", "metal", "metal_prepack", "vulkan",
     "vulkan_prepack", "inductor", "fb", "static_runtime", "tensorexpr", "nvprims", "torchvision", "torchaudio",
     "torchtext", "image", "video_reader", "c10d", "_c10d_functional", "higher_order", "_caffe2", "_test"}
)  # fmt: skip
"""namespaces of operators that torch, torchvision, torchaudio and torchtext register"""
_EXCERPT: Final = 200
_LITERAL: Final = late(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'')
_TOP: Final = late(r"op_version_set = \d+|import __torch__[\w.]*|class \w+(?:\([\w.]*\))?:")
_MEMBER: Final = late(r'  (?:__\w+__(?:\[""\])? = |\w+ : )[^;]*')
_FUNCTION: Final = late(r"(?:  )?def \w+\(")
_CALL: Final = late(r"[\w\])\"'][ \t]*\(|\w[\"']")
"""a call, or a literal with a prefix (an f-string calls what it holds)"""
_QUOTES: Final = 8
"""quotes that a line may have without being asked whether they close"""
_CLOSED: Final = late(r"""(?:[^"'\\]++|\\.|"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+')*+""")
_PYTHON_LIMIT: Final = 4 << 20


def matches(blob: Blob) -> bool:
    """Return whether the archive says that this member is TorchScript."""
    return SCRIPT_SOURCE in blob.roles


def read(blob: Blob, reading: Reading) -> None:
    """State the operators that reach outside."""
    size = blob.reader.size
    if size > reading.budget.limits.text:
        raise LimitExceeded("text", f"{size} bytes of TorchScript, more than {reading.budget.limits.text}")
    data = blob.reader.read_at(0, size)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("TorchScript that is not UTF-8", offset=error.start) from error
    reading.state(Identified(location=reading.at(), format=NAME))
    _refuse_open_literals(text)
    reading.parsed(0, size)
    if runs_as_python(text):
        # Whoever imports from the archive (torch.package, zipimport, an unpacked copy) runs it.
        name = blob.name
        reading.child(
            name, blob.reader, span=(0, size), stored=True, roles=frozenset({PYTHON}), label=f"{name} as Python"
        )
    ascii_only = len(text) == size
    passed = offset = 0
    for position, name, function, line in operators(text):
        offset += position - passed if ascii_only else len(text[passed:position].encode())
        passed = position
        reading.state(
            Operator(
                location=reading.at(offset, len(name)),
                framework="torchscript",
                name=name,
                arguments=(("call", line), ("function", function)),
                domain="file" if name in {"aten::save", "aten::from_file"} else "custom",
            )
        )


def _refuse_open_literals(text: str) -> None:
    """Refuse lines of many quotes that do not close: torch reads none, and each quote is followed to the line's end."""
    for line in text.split("\n"):
        if line.count('"') + line.count("'") > _QUOTES and not _CLOSED.fullmatch(line):
            raise LimitExceeded("text", "a line of TorchScript with many quotes that do not close")


def runs_as_python(text: str) -> bool:
    """Return whether the text is Python that does something when it is imported, which TorchScript never does.

    TorchScript is printed in a fixed form: imports of `__torch__`, classes, and in them attributes and functions. Any
    other line outside of functions is looked at as Python, and so are defaults that would be computed.
    """
    if _as_printed(text):
        return False
    if len(text) > _PYTHON_LIMIT:
        raise LimitExceeded("text", f"{len(text)} characters of TorchScript in an unusual form")
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    except (RecursionError, MemoryError):
        return True  # its reader says what is wrong with it
    return True


def _as_printed(text: str) -> bool:
    """Return whether every line outside of functions has the form in which torch prints it."""
    signature: list[str] = []  # the lines of one that is not closed yet
    depth = 0
    body = 1 << 30  # lines indented further than this belong to a function
    for line in _LITERAL.sub('""', text).split("\n"):
        plain = line.lstrip(" ")
        if not plain or plain[0] == "#":
            continue
        if signature:
            signature.append(plain)
        elif len(line) - len(plain) > body:
            continue
        elif head := _FUNCTION.match(line):
            signature.append(line[head.end() :])
            depth = 0
            body = len(line) - len(plain)
        else:
            body = 1 << 30
            if not _TOP.fullmatch(line) and (not _MEMBER.fullmatch(line) or _CALL.search(line)):
                return False
        if signature:
            depth += signature[-1].count("(") - signature[-1].count(")")
            if depth < 0:
                if not _is_plain_signature("".join(signature)):
                    return False
                signature = []
    return not signature


def _is_plain_signature(text: str) -> bool:
    """Return whether a function's head, from its arguments on, ends as torch prints it and computes nothing."""
    return text.endswith(":") and ") -> " in text and ";" not in text and not _CALL.search(text)


def operators(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield (position, operator, function it is called in, the line) of operators that reach outside."""
    function = ""
    for found in _TOKEN.finditer(text):
        if found["definition"]:
            function = found["definition"]
            continue
        printed = found["operator"]
        if not printed:
            continue
        position = found.start("operator")
        line = text[position : position + _EXCERPT].split("\n", 1)[0].strip()
        if printed in _FILES:
            yield position, f"aten::{printed.rsplit('.', 1)[1]}", function, line
        elif printed.startswith("ops."):
            namespace, name = printed.split(".", 2)[1:]
            if namespace not in _OWN:
                yield position, f"{namespace}::{name}", function, line
