import pytest

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Reference
from scanners.formats import toml_config
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def test_a_project_file_is_data() -> None:
    reading = read_with(toml_config, b'[project]\nname = "x"\nwhen = 2026-11-23\n', name="pyproject.toml")
    assert not [fact for fact in reading.facts if isinstance(fact, Reference)]
    assert uncovered(reading) == 0


def test_a_hydra_target_is_a_reference() -> None:
    reading = read_with(toml_config, b'[[model.parts]]\n_target_ = "os.system"\n', name="conf.toml")
    assert [fact.target for fact in reading.facts if isinstance(fact, Reference)] == ["os.system"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ('[project]\ndependencies = ["x @ http://198.51.100.7/x.whl"]', "http://198.51.100.7/x.whl"),
        ('[project.optional-dependencies]\na = ["x @ git+https://h/r"]', "git+https://h/r"),
        ('[build-system]\nrequires = ["x @ http://h/x.whl"]', "http://h/x.whl"),
        ('[tool.poetry.dependencies]\nx = {git = "https://h/r.git"}', "https://h/r.git"),
        ('[tool.uv.sources]\nx = {url = "http://h/x.whl"}', "http://h/x.whl"),
    ],
)
def test_requirements_from_elsewhere_are_references(text: str, url: str) -> None:
    facts = read_with(toml_config, text.encode(), name="pyproject.toml").facts
    assert [fact.target for fact in facts if isinstance(fact, Reference)] == [url]
    assert not [
        fact for fact in read_with(toml_config, text.encode(), name="x.toml").facts if isinstance(fact, Reference)
    ]


def test_ordinary_requirements_are_none() -> None:
    text = (
        b'[project]\ndependencies = ["torch>=2"]\nurls = {Home = "https://h"}\n[build-system]\nrequires = ["hatchling"]'
    )
    assert not [
        fact for fact in read_with(toml_config, text, name="pyproject.toml").facts if isinstance(fact, Reference)
    ]


def test_the_name_decides() -> None:
    assert toml_config.matches(blob_of(b"", "a.toml"))
    assert not toml_config.matches(blob_of(b"a = 1", "a.txt"))


@pytest.mark.parametrize("data", [b"a = ", b"\xff", b"a = " + b"[" * 5000], ids=["broken", "not-utf-8", "deep"])
def test_broken_text_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_with(toml_config, data, name="a.toml")


def test_a_huge_file_is_left() -> None:
    with pytest.raises(LimitExceeded):
        read_with(toml_config, b"#" * (5 << 20), name="a.toml")


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(toml_config, [b'[a]\nb = [1, {c = "d"}]\n_target_ = "x.y"\n'], name="a.toml")


@pytest.mark.parametrize("text", ["{} = 1", "[{}]", "a = {{b = 1, {} = 2}}"])
def test_keys_of_very_many_parts_are_refused(text: str) -> None:
    with pytest.raises(LimitExceeded, match="dots"):
        read_with(toml_config, text.format("a." * 100_000 + "a").encode(), name="x.toml")
