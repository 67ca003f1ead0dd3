"""`dataclasses.dataclass` for values, made in a tenth of the time.

The standard decorator writes six functions a class as text and compiles each: for the values that every scan imports,
that took a third of a small scan. This one compiles the constructor alone, once for all classes that differ in names
only, and shares the other methods. It makes the same of a class otherwise: `dataclasses.fields` and `replace` work, and
type checkers see the standard decorator.
What is not needed here is refused rather than left out: per-field options but `compare`, `repr` and defaults, ordering,
`ClassVar`, classes without slots.
"""

import dataclasses
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]


class _Parameters:
    """What subclasses that the standard decorator makes ask of their base."""

    def __init__(self, *, frozen: bool) -> None:
        self.frozen = frozen


def _record(*, slots: bool, frozen: bool = False, kw_only: bool = False) -> Callable[[type], type]:
    if not slots:
        raise TypeError("a record has slots")

    def make(cls: type) -> type:
        return _made(cls, frozen=frozen, kw_only=kw_only)

    return make


def _made(cls: type, *, frozen: bool, kw_only: bool) -> type:
    namespace = dict(cls.__dict__)
    inherited: dict[str, dataclasses.Field[Any]] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited |= getattr(base, "__dataclass_fields__", {})
    own: dict[str, dataclasses.Field[Any]] = {}
    for name, annotation in namespace.get("__annotations__", {}).items():
        default = namespace.pop(name, dataclasses.MISSING)
        own[name] = _field(name, annotation, default, kw_only=kw_only)
    fields = inherited | own
    compared = tuple(name for name, field in fields.items() if field.compare)
    shown = tuple(name for name, field in fields.items() if field.repr)
    for name in ("__dict__", "__weakref__"):
        namespace.pop(name, None)
    namespace.setdefault("__repr__", _repr(shown))
    namespace.setdefault("__eq__", _equal(compared))
    namespace["__hash__"] = _hash(compared) if frozen else None
    namespace["__slots__"] = tuple(own)
    namespace["__match_args__"] = () if kw_only else tuple(fields)
    namespace["__dataclass_fields__"] = fields
    namespace["__dataclass_params__"] = _Parameters(frozen=frozen)
    if frozen:
        namespace |= _FROZEN
    made = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    made.__init__ = _constructor(made, fields, frozen=frozen, kw_only=kw_only)  # type: ignore[misc]  # a class of ours
    return made


def _field(name: str, annotation: object, default: object, *, kw_only: bool) -> "dataclasses.Field[Any]":
    field: Any = default if isinstance(default, dataclasses.Field) else dataclasses.field(default=default)
    if "ClassVar" in str(annotation) or not field.init or field.hash is not None or default.__hash__ is None:
        raise TypeError(f"a record cannot have the field {name!r} as it is declared")
    field.name = name
    field.type = annotation
    field.kw_only = kw_only
    field._field_type = dataclasses._FIELD  # type: ignore[attr-defined]  # noqa: SLF001 - `dataclasses.fields` looks at it
    made: dataclasses.Field[Any] = field
    return made


def _constructor(
    cls: type, fields: "dict[str, dataclasses.Field[Any]]", *, frozen: bool, kw_only: bool
) -> Callable[..., None]:
    """Make the one method that has to be fast and to name its arguments."""
    names = tuple(fields)
    known: dict[str, object] = {"MISSING": dataclasses.MISSING}
    defaults: dict[str, object] = {}
    factories = []
    for index, (name, field) in enumerate(fields.items()):
        if frozen:  # the slot's own descriptor sets it, which is a quarter faster than `object.__setattr__`
            known[f"set{index}"] = getattr(cls, name).__set__
        if field.default_factory is not dataclasses.MISSING:
            known[f"make{index}"] = field.default_factory
            defaults[name] = dataclasses.MISSING
            factories.append(index)
        elif field.default is not dataclasses.MISSING:
            defaults[name] = field.default
        elif defaults and not kw_only:
            raise TypeError(f"the field {name!r} without a default follows one with a default")
    template = _template(len(names), tuple(factories), frozen, kw_only, hasattr(cls, "__post_init__"))
    renamed = {f"a{index}": name for index, name in enumerate(names)}
    code = template.replace(
        co_varnames=tuple([renamed.get(name, name) for name in template.co_varnames]),
        co_names=tuple([renamed.get(name, name) for name in template.co_names]),
        co_qualname=f"{cls.__qualname__}.__init__",
    )
    constructor = FunctionType(code, known, "__init__", None if kw_only else tuple(defaults.values()))
    if kw_only:
        constructor.__kwdefaults__ = defaults
    constructor.__qualname__ = f"{cls.__qualname__}.__init__"
    constructor.__module__ = cls.__module__
    return constructor


@cache
def _template(count: int, factories: tuple[int, ...], frozen: bool, kw_only: bool, post_init: bool) -> CodeType:
    """Compile a constructor for fields `a0`, `a1` …: most classes share theirs, and compiling is what takes long."""
    lines = []
    for index in range(count):
        value = f"a{index}"
        if index in factories:
            value = f"make{index}() if {value} is MISSING else {value}"
        lines.append(f" set{index}(self, {value})" if frozen else f" self.a{index} = {value}")
    if post_init:
        lines.append(" self.__post_init__()")
    star = ["self", "*"] if kw_only and count else ["self"]
    arguments = ", ".join(star + [f"a{index}" for index in range(count)])
    known: dict[str, Any] = {}
    exec(f"def __init__({arguments}):\n" + "\n".join(lines or [" pass"]), known)  # noqa: S102 - text of ours alone
    code = known["__init__"].__code__
    assert isinstance(code, CodeType)
    return code


def _equal(names: tuple[str, ...]) -> Callable[[object, object], bool]:
    values = _values(names)

    def __eq__(self: object, other: object) -> bool:  # noqa: N807 - a method
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash(names: tuple[str, ...]) -> Callable[[object], int]:
    values = _values(names)

    def __hash__(self: object) -> int:  # noqa: N807 - a method
        return hash(values(self))

    return __hash__


def _values(names: tuple[str, ...]) -> Callable[[object], object]:
    return attrgetter(*names) if names else lambda _: ()


def _repr(names: tuple[str, ...]) -> Callable[[object], str]:
    def __repr__(self: object) -> str:  # noqa: N807 - a method
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _refuse_set(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(self: object) -> list[object]:
    return [getattr(self, name) for name in self.__dataclass_fields__]  # type: ignore[attr-defined]  # every record has it


def _set_state(self: object, state: list[object]) -> None:
    for name, value in zip(self.__dataclass_fields__, state, strict=True):  # type: ignore[attr-defined]  # as above
        object.__setattr__(self, name, value)


_FROZEN: dict[str, object] = {
    "__setattr__": _refuse_set,
    "__delattr__": _refuse_delete,
    "__getstate__": _get_state,
    "__setstate__": _set_state,
}

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _record
