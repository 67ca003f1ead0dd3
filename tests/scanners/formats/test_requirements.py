import pytest

from scanners.facts import Reference
from scanners.formats import requirements
from tests.builders.readings import blob_of, read_with, survive_mutations


def found(text: str) -> list[tuple[str, str]]:
    facts = read_with(requirements, text.encode(), name="requirements.txt").facts
    return [(fact.context, fact.target) for fact in facts if isinstance(fact, Reference)]


def test_named_releases_are_quiet() -> None:
    assert found("torch==2.6\nnumpy>=1.26  # see https://numpy.org\n-r other.txt\n") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("git+https://github.com/a/b", ("requirement", "git+https://github.com/a/b")),
        ("pkg @ https://h/x.whl", ("requirement", "https://h/x.whl")),
        ("http://h/x.tar.gz", ("requirement", "http://h/x.tar.gz")),
        ("--extra-index-url https://h/simple", ("--extra-index-url", "https://h/simple")),
        ("-i https://h/simple", ("--index-url", "https://h/simple")),
        ("--trusted-host h", ("--trusted-host", "h")),
        ("-e git+ssh://git@h/x", ("--editable", "git+ssh://git@h/x")),
        ("--index-url \\\n https://h/simple", ("--index-url", "https://h/simple")),
    ],
)
def test_other_origins_are_stated(line: str, expected: tuple[str, str]) -> None:
    assert found(line) == [expected]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "dev_requirements.in", "constraints.txt"])
def test_the_name_decides(name: str) -> None:
    assert requirements.matches(blob_of(b"", name))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(requirements, [b"a==1\n--index-url https://h\n"], name="requirements.txt")
