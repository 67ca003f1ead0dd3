"""The tables of callables: how entries are looked up, and that every entry says enough."""

import tomllib
from pathlib import Path

import pytest

import scanners.knowledge
from scanners.knowledge.tables import Standing, Tables, judge, tables
from scanners.pickles.shapes import SHAPES

FOLDER = Path(scanners.knowledge.__file__).parent
ENTRIES = tomllib.loads((FOLDER / "judgement.toml").read_text("utf-8"))["callables"]
EFFECTS = tomllib.loads((FOLDER / "semantics.toml").read_text("utf-8"))["effect"]
KEYS = {"standing", "reason", "modules", "names", "nature", "source", "shapes", "kept"}


def table(judgement: str) -> Tables:
    return Tables('[[effect]]\nkind = "identity"\nnames = "a.b"\n', judgement)


TWO = """
[[callables]]
standing = "dangerous"
reason = "by nature"
nature = "process"
modules = "m"

[[callables]]
standing = "harmless"
reason = "a value"
modules = "m"
names = "Value"

[[callables]]
standing = "harmless"
reason = "classes"
modules = "m.inner"
names = "<Class> <Cython> Kind.* **.found"
"""


@pytest.mark.parametrize(
    ("name", "standing"),
    [
        ("m.Value", Standing.HARMLESS),
        ("m.other", Standing.DANGEROUS),
        ("m.deep.other", Standing.DANGEROUS),
        ("m.inner.Class", Standing.HARMLESS),
        ("m.inner.sub._Class", Standing.HARMLESS),
        ("m.inner.function", Standing.DANGEROUS),
        ("m.inner.Class.method", Standing.DANGEROUS),
        ("m.inner.Kind.member", Standing.HARMLESS),
        ("m.inner.sub.found", Standing.HARMLESS),
        ("m.inner.__pyx_unpickle_X", Standing.HARMLESS),
        ("m.inner.__other", Standing.DANGEROUS),
        ("mm.Value", Standing.UNKNOWN),
        ("elsewhere.Value", Standing.UNKNOWN),
    ],
)
def test_an_exact_name_wins_over_a_pattern_and_a_longer_module_over_a_shorter(name: str, standing: Standing) -> None:
    assert table(TWO).judge(name).standing is standing


@pytest.mark.parametrize("attribute", ["__globals__", "__subclasses__", "__class__", "__dict__", "gi_frame"])
def test_walking_into_the_interpreter_is_dangerous_from_anywhere(attribute: str) -> None:
    assert judge(f"collections.OrderedDict.{attribute}.x").standing is Standing.DANGEROUS


def test_a_method_of_a_harmless_class_is_not_harmless() -> None:
    assert judge("numpy.ndarray.tofile").standing is Standing.DANGEROUS
    assert judge("collections.OrderedDict.somehow").standing is Standing.UNKNOWN


def test_python_2_names_are_judged_as_what_they_are_today() -> None:
    assert judge("__builtin__.set").standing is Standing.HARMLESS
    assert judge("commands.getoutput").standing is Standing.DANGEROUS


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["modules"].split()[0])
def test_every_entry_says_why(entry: dict[str, str]) -> None:
    assert set(entry) <= KEYS
    assert len(entry["reason"]) > 6
    assert entry["standing"].upper() in Standing.__members__
    assert ("shapes" in entry) == (entry["standing"] == "shaped") or entry["standing"] == "dangerous"
    assert set(entry.get("shapes", "").split()) <= SHAPES
    assert entry["standing"] != "dangerous" or entry.get("nature")


def test_no_name_is_judged_twice_in_different_ways() -> None:
    seen: dict[str, str] = {}
    for entry in ENTRIES:
        for module in entry["modules"].split():
            for name in entry.get("names", "").split():
                if "*" not in name and "<" not in name:
                    assert seen.setdefault(f"{module}.{name}", entry["standing"]) == entry["standing"], (
                        f"{module}.{name}"
                    )


def test_what_is_computed_through_is_judged_as_well() -> None:
    known = tables()
    unjudged = [
        name
        for entry in EFFECTS
        if entry["kind"] in {"getattr", "import", "resolve-name", "loads", "type-by-name", "import-attribute"}
        for name in entry["names"].split()
        if known.judge(name).standing is Standing.HARMLESS
    ]
    assert unjudged == []


WHOLE_MODULES = "os posix nt subprocess socket ctypes importlib pickle marshal shutil pty code runpy asyncio urllib ssl"


@pytest.mark.parametrize("module", WHOLE_MODULES.split())
def test_whole_modules_are_dangerous_by_nature(module: str) -> None:
    found = judge(f"{module}.anything.at.all")

    assert found.standing is Standing.DANGEROUS
    assert found.nature
