from scanners.findings import Severity
from scanners.formats import gguf as reader
from scanners.rules.file import gguf
from tests.builders.gguf import Weight, number_value
from tests.builders.gguf import gguf as build
from tests.builders.readings import facts_of, stated_by
from tests.scanners.rules.examples import Example


def _twins(bad: bytes) -> Example:
    return Example(bad=lambda: {"model.gguf": bad}, good=lambda: {"model.gguf": build()})


EXAMPLES = {
    "MS550": _twins(build(weights=[Weight(shape=(1 << 62, 8))])),
    "MS551": _twins(build(weights=[Weight(offset=1 << 20)])),
    "MS552": _twins(build(data=bytes(512 + 8192))),
    "MS553": _twins(build([number_value("a", 1), number_value("a", 2)])),
}


def found(data: bytes) -> dict[str, Severity]:
    return {finding.rule.id: finding.severity for finding in gguf.judge(facts_of(stated_by(reader, data)))}


def test_an_ordinary_file_is_quiet() -> None:
    assert found(build()) == {}


def test_cve_2025_53630_gguf_size_sum_overflows() -> None:
    weights = [Weight(name="a", shape=(1 << 40, 1 << 20)), Weight(name="b", offset=(1 << 63) - 64)]
    assert found(build(weights=weights))[gguf.OVERFLOW.id] is Severity.HIGH


def test_cve_2026_27940_gguf_tensor_and_key_counts() -> None:
    assert found(build(tensor_count=(1 << 64) - 1))[gguf.OVERFLOW.id] is Severity.HIGH


def test_cve_2026_33298_ggml_bytes_overflow() -> None:
    assert found(build(weights=[Weight(shape=(1 << 32, 1 << 31, 4))]))[gguf.OVERFLOW.id] is Severity.HIGH
