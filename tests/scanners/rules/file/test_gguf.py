import pytest

from scanners.findings import Rule, Severity
from scanners.formats import gguf as reader
from scanners.rules.file import gguf
from tests.builders.gguf import Weight, number_value
from tests.builders.gguf import gguf as build
from tests.builders.readings import facts_of, stated_by


def found(data: bytes) -> dict[str, Severity]:
    return {finding.rule.id: finding.severity for finding in gguf.judge(facts_of(stated_by(reader, data)))}


def test_an_ordinary_file_is_quiet() -> None:
    assert found(build()) == {}


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        (gguf.OVERFLOW, build(weights=[Weight(shape=(1 << 62, 8))])),
        (gguf.OUTSIDE, build(weights=[Weight(offset=1 << 20)])),
        (gguf.STRUCTURE, build(data=bytes(512 + 8192))),
        (gguf.AMBIGUOUS, build([number_value("a", 1), number_value("a", 2)])),
    ],
)
def test_each_rule_has_a_bad_example(rule: Rule, data: bytes) -> None:
    assert found(data)[rule.id] is rule.severity


def test_cve_2025_53630_gguf_size_sum_overflows() -> None:
    weights = [Weight(name="a", shape=(1 << 40, 1 << 20)), Weight(name="b", offset=(1 << 63) - 64)]
    assert found(build(weights=weights))[gguf.OVERFLOW.id] is Severity.HIGH


def test_cve_2026_27940_gguf_tensor_and_key_counts() -> None:
    assert found(build(tensor_count=(1 << 64) - 1))[gguf.OVERFLOW.id] is Severity.HIGH


def test_cve_2026_33298_ggml_bytes_overflow() -> None:
    assert found(build(weights=[Weight(shape=(1 << 32, 1 << 31, 4))]))[gguf.OVERFLOW.id] is Severity.HIGH
