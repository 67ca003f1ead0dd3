"""A child process that runs CPython's two unpicklers on hostile bytes, with nothing to reach.

Started with ``python -I -S -W ignore unpicklers.py``.
Reads cases from standard input (length as 4 bytes, then the bytes, zero
length ends a batch) and answers one line of JSON per case: for the C and the Python unpickler the names it looked up,
whether it returned a value, and where it stopped. `find_class` returns inert stubs and imports nothing; resource limits
and an audit hook stop whatever would get past that.
"""

import _pickle
import copyreg
import io
import json
import pickle
import resource
import sys
import types
from collections.abc import Callable
from typing import Any


class _Anything:
    """An attribute that accepts any call, on a class as on its instances."""

    def __get__(self, instance: object, owner: type) -> Callable[..., None]:
        return lambda *_arguments, **_keywords: None


class _Class(type):
    """What `find_class` returns: a class that can be used like any object."""

    extend = append = add = __setstate__ = _Anything()

    def __setitem__(cls, key: object, value: object) -> None: ...


def _stub() -> type:
    return _Class("Stub", (), dict(_BODY))


def _new(cls: type, *_arguments: object, **_keywords: object) -> object:
    return object.__new__(cls)


_BODY: dict[str, Any] = {
    "__slots__": (),
    "__new__": staticmethod(_new),
    "__init__": lambda _self, *_arguments, **_keywords: None,
    "__call__": lambda _self, *_arguments, **_keywords: _stub()(),
    "__setitem__": lambda _self, _key, _value: None,
    "extend": _Anything(),
    "append": _Anything(),
    "add": _Anything(),
    "__setstate__": _Anything(),
}


def _run(base: Any, data: bytes) -> dict[str, object]:
    names: list[tuple[str, str]] = []

    class Recorder(base):  # type: ignore[misc]  # the two unpicklers have no common type
        def find_class(self, module: str, name: str) -> type:
            names.append((module, name))
            return _stub()

        def persistent_load(self, _pid: object) -> object:
            return _stub()()

    # With `peek`, the C unpickler sees the whole input at once, as `pickle.loads` does, and leaves the file after STOP.
    file = io.BufferedReader(io.BytesIO(data), buffer_size=max(len(data), 1))
    error = ""
    try:
        Recorder(file).load()
    except Exception as failure:  # noqa: BLE001 - any error is an answer
        error = f"{type(failure).__name__}: {failure}"
    return {"names": names, "error": error, "stop": file.tell()}


def _refuse(event: str, _arguments: object) -> None:
    allowed = {
        "pickle.find_class",
        "marshal.loads",
        "object.__getattr__",
        "builtins.id",
        "sys._getframe",
        "array.__new__",
    }
    if event not in allowed and not event.startswith(("gc.", "cpython.", "code.__new__", "compile")):
        raise RuntimeError(f"the unpickler tried {event}")


def main() -> None:
    """Answer until standard input ends."""
    assert isinstance(copyreg, types.ModuleType)
    json.dumps({})
    sys.setrecursionlimit(2000)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout
    unpicklers = (_pickle.Unpickler, pickle._Unpickler)
    sys.addaudithook(_refuse)
    while header := source.read(4):
        length = int.from_bytes(header, "little")
        if not length:
            sink.flush()
            continue
        data = source.read(length)
        answer = [_run(base, data) for base in unpicklers]
        sink.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
