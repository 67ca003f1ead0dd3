import io
import json
import zipfile
from typing import Any

from scanners.findings import Verdict
from tests.scanners.formats.test_skops import SCHEMA, node
from tests.scanners.rules.examples import Example, scan_files


def archive(schema: dict[str, Any] | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("schema.json", schema if isinstance(schema, bytes) else json.dumps(schema))
    return buffer.getvalue()


def _twins(bad: dict[str, Any]) -> Example:
    good = node("sklearn.linear_model._logistic.LogisticRegression")
    return Example(bad=lambda: {"m.skops": archive(bad)}, good=lambda: {"m.skops": archive(good)})


EXAMPLES = {
    "MS582": _twins(node("os.system", "FunctionNode")),
    "MS583": _twins(node("builtins.list", "MethodNode", content={"func": "f", "obj": node("os._wrap_close")})),
    "MS584": _twins(node("my_project.Estimator")),
}


def verdict(schema: dict[str, Any] | bytes) -> Verdict:
    return scan_files({"m.skops": archive(schema)}).verdict


def test_an_ordinary_model_is_clean() -> None:
    assert verdict(SCHEMA) is Verdict.CLEAN


def test_cve_2025_54412_operator_node_with_another_type() -> None:
    assert verdict(node("builtins.list", "OperatorFuncNode", attrs={})) is Verdict.MALICIOUS
    attrs = {"content": [{"content": '"__class__.__base__"'}]}
    assert verdict(node("operator.attrgetter", "OperatorFuncNode", attrs=attrs)) is Verdict.MALICIOUS


def test_cve_2025_54413_method_node_with_another_object() -> None:
    bad = node("sklearn.A", "MethodNode", content={"func": "__init__", "obj": node("sklearn.A")})
    assert verdict(bad) is Verdict.MALICIOUS
    other = node("builtins.int", "MethodNode", content={"func": "x", "obj": node("sklearn.B")})
    assert verdict(other) is Verdict.MALICIOUS


def test_cve_2025_54886_a_pickle_called_skops() -> None:
    assert scan_files({"m.skops": b"cos\nsystem\n(S'id'\ntR."}).verdict is Verdict.MALICIOUS
