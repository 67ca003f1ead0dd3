"""Published techniques in configurations and graphs that have no rule family of their own to be tested in."""

import json
from typing import Any

from scanners.findings import Verdict
from tests.builders.gguf import gguf, text_value
from tests.builders.keras import DENSE, keras_file, layer, sequential
from tests.builders.templates import HOSTILE, ORDINARY
from tests.builders.zips import archive, torch_archive
from tests.scanners.rules.examples import Files, scan_files


def verdict(files: Files) -> Verdict:
    return scan_files(files).verdict


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_gguf_chat_template_injection() -> None:
    bad = gguf([text_value("tokenizer.chat_template", HOSTILE["cycler-globals"])])
    good = gguf([text_value("tokenizer.chat_template", ORDINARY["gemma"])])
    assert verdict({"m.gguf": bad}) is Verdict.SUSPICIOUS
    assert verdict({"m.gguf": good}) is Verdict.CLEAN


def test_tokenizer_with_one_hostile_template_among_several() -> None:
    templates = [{"name": "default", "template": ORDINARY["phi"]}, {"name": "rag", "template": HOSTILE["attr-filter"]}]
    assert verdict({"tokenizer_config.json": text({"chat_template": templates})}) is Verdict.SUSPICIOUS


def test_cve_2026_44513_diffusers_custom_pipeline_of_another_repository() -> None:
    index = {"_class_name": "StableDiffusionPipeline", "custom_pipeline": "somebody/pipeline"}
    assert verdict({"model_index.json": text(index)}) is Verdict.SUSPICIOUS


def test_cve_2026_44827_diffusers_component_from_a_module_of_the_repository() -> None:
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["my_unet", "Model"]}
    hostile = {"model_index.json": text(index), "unet/my_unet.py": b"import os\nos.system('id')\n"}
    assert verdict(hostile) is Verdict.MALICIOUS
    assert verdict({"model_index.json": text(index), "README.md": b"x"}) is Verdict.SUSPICIOUS


def test_cve_2026_4538_pt2_archive_with_a_pickle_among_its_parts() -> None:
    hostile = b"cos\nsystem\n(S'id'\ntR."
    parts = [("m/archive_format", b"pt2"), ("m/models/model.json", b"{}"), ("m/version", b"3")]
    sample = torch_archive(hostile, root="sample_inputs")
    assert verdict({"m.pt2": archive(*parts, ("m/data/sample_inputs/model.pt", sample))}) is Verdict.MALICIOUS
    assert verdict({"m.pt2": archive(*parts, ("m/data/constants/custom_obj_0", hostile))}) is Verdict.MALICIOUS
    assert verdict({"m.pt2": archive(*parts)}) is Verdict.CLEAN


def test_keras_lambda_nested_in_a_wrapper_in_a_model_in_a_model() -> None:
    inner = layer("TimeDistributed", {"layer": layer("Lambda", {"function": "lambda x: exec(x)"})})
    nested = layer("Sequential", {"layers": [layer("Functional", {"layers": [DENSE, inner]})]})
    assert verdict({"m.keras": keras_file(sequential(nested))}) is Verdict.MALICIOUS


def test_keras_compile_config_carries_a_lambda() -> None:
    loss = {"class_name": "__lambda__", "config": {"value": "4wAAAABzeXN0ZW0="}}
    assert verdict({"m.keras": keras_file(sequential(DENSE, compile_config={"loss": loss}))}) is Verdict.MALICIOUS


def test_keras_archive_renamed_to_zip() -> None:
    assert verdict({"m.zip": keras_file(sequential(layer("Lambda", {"function": "lambda x: eval(x)"})))}) is (
        Verdict.MALICIOUS
    )


def test_an_executable_that_calls_itself_weights() -> None:
    assert verdict({"pytorch_model.bin": b"\x7fELF" + bytes(100)}) is Verdict.SUSPICIOUS


def test_llamafile_is_named_as_a_program() -> None:
    assert verdict({"model.llamafile": b"MZqFpD='\n" + bytes(100)}) is Verdict.SUSPICIOUS


def test_a_rar_archive_is_incomplete() -> None:
    assert verdict({"model.rar": b"Rar!\x1a\x07\x01\x00" + bytes(100)}) is Verdict.INCOMPLETE


def test_cve_2026_4372_attention_from_a_repository_that_nobody_asked_for() -> None:
    assert verdict({"config.json": text({"_attn_implementation_internal": "somebody/kernel"})}) is Verdict.MALICIOUS
    nested = {"text_config": {"_attn_implementation_internal": "flash|somebody/kernel:forward"}}
    assert verdict({"config.json": text(nested)}) is Verdict.MALICIOUS
    assert verdict({"config.json": text({"_attn_implementation_internal": "sdpa"})}) is Verdict.CLEAN


def test_cve_2026_5241_lightglue_takes_the_switch_from_its_configuration() -> None:
    detector = {"model_type": "superpoint", "_name_or_path": "somebody/detector"}
    config = {"model_type": "lightglue", "trust_remote_code": True, "keypoint_detector_config": detector}
    assert verdict({"config.json": text(config)}) is Verdict.SUSPICIOUS
    assert verdict({"config.json": text({**config, "trust_remote_code": False})}) is Verdict.CLEAN


def test_router_of_sentence_transformers_imports_the_classes_of_its_parts() -> None:
    def router(kind: str) -> Files:
        types = {"query_0_X": "sentence_transformers.models.Transformer", "document_0_X": kind}
        return {"router_config.json": text({"types": types, "structure": {"query": ["query_0_X"]}})}

    assert verdict(router("subprocess.Popen")) is Verdict.MALICIOUS
    assert verdict(router("my_module.Part")) is Verdict.SUSPICIOUS
    assert verdict(router("sentence_transformers.models.Pooling")) is Verdict.CLEAN


def test_modular_diffusers_pipeline_names_the_class_of_a_part_twice() -> None:
    def pipeline(library: str, name: str) -> Files:
        part = [None, None, {"repo": "a/b", "type_hint": [library, name]}]
        return {"modular_model_index.json": text({"_class_name": "ModularPipeline", "unet": part})}

    assert verdict(pipeline("subprocess", "Popen")) is Verdict.SUSPICIOUS
    assert verdict(pipeline("diffusers", "UNet2DConditionModel")) is Verdict.CLEAN


def test_weights_of_keras_in_several_files_lie_beside_their_index() -> None:
    def index(file: str) -> Files:
        return {"model.weights.json": text({"weight_map": {"/layers/dense/vars": [file]}})}

    assert verdict(index("../../x.weights.h5")) is Verdict.MALICIOUS
    assert verdict(index("model_00000.weights.h5")) is Verdict.CLEAN
    model = keras_file(sequential(DENSE), members=index("../../x.weights.h5"))
    assert verdict({"m.keras": model}) is Verdict.MALICIOUS


def functional(name: str, config: dict[str, Any], *inputs: Any) -> Files:
    one = {"class_name": name, "config": {"name": "x", **config}, "inbound_nodes": [list(inputs)]}
    return {"model.json": text({"class_name": "Functional", "config": {"layers": [one]}, "keras_version": "2.12.0"})}


def test_functions_of_tensorflow_as_keras_layers_that_do_more_than_compute() -> None:
    for function in ("io.write_file", "io.read_file", "py_function", "raw_ops.WriteFile", "load_op_library"):
        assert verdict(functional("TFOpLambda", {"function": function})) is Verdict.MALICIOUS, function
    for function in ("math.multiply", "__operators__.add", "image.resize", "io.decode_jpeg", "raw_ops.AddV2", "print"):
        assert verdict(functional("TFOpLambda", {"function": function})) is Verdict.CLEAN, function
    written = ["x", 0, 0, {"output_stream": "file:///tmp/x"}]
    assert verdict(functional("TFOpLambda", {"function": "print"}, written)) is Verdict.MALICIOUS


def test_an_operator_as_keras_layer_writes_a_file() -> None:
    node = {"name": "w", "op": "WriteFile"}
    config = {"node_def": node, "constants": {"0": "/etc/cron.d/x"}}
    assert verdict(functional("TensorFlowOpLayer", config)) is Verdict.MALICIOUS


def test_a_hub_layer_loads_a_saved_model_from_an_unknown_host() -> None:
    assert verdict(functional("KerasLayer", {"handle": "https://example.invalid/model"})) is Verdict.SUSPICIOUS
    assert verdict(functional("KerasLayer", {"handle": "https://tfhub.dev/google/elmo/3"})) is Verdict.CLEAN


def test_a_keras_model_in_yaml_is_read_like_one_in_json() -> None:
    def model(kind: str) -> Files:
        lines = ["class_name: Sequential", "config:", "  layers:", "  - class_name: Dense", "    config: {units: 3}"]
        lines += [f"  - class_name: {kind}", "    config:", "      name: l", "keras_version: 2.4.0"]
        return {"model.yaml": "\n".join(lines).encode()}

    assert verdict(model("Lambda")) is Verdict.SUSPICIOUS
    assert verdict(model("Dropout")) is Verdict.CLEAN
    activation = b"class_name: Sequential\nconfig:\n  layers:\n  - class_name: Dense\n    config:\n      activation:"
    activation += b" {class_name: function, module: os, config: system, registered_name: system}\n"
    assert verdict({"model.yml": activation}) is Verdict.MALICIOUS


def test_preprocessing_of_an_application_in_a_lambda_is_no_gadget() -> None:
    function = {"module": "keras.applications.vgg16", "class_name": "function", "config": "preprocess_input"}
    model = keras_file(sequential(layer("Lambda", {"function": function})))
    assert verdict({"m.keras": model}) not in {Verdict.MALICIOUS, Verdict.SUSPICIOUS}


def test_the_type_of_an_input_is_no_foreign_object() -> None:
    def model(module: str, name: str) -> Files:
        spec = {"class_name": "__typespec__", "spec_name": name, "module": module, "config": [[1], "float32", "x"]}
        return {"model.json": sequential(layer("InputLayer", {"type_spec": spec}))}

    assert verdict(model("tensorflow.python.framework.tensor_spec", "TensorSpec")) is Verdict.CLEAN
    assert verdict(model("shutil", "rmtree")) is Verdict.MALICIOUS


def test_a_key_counts_behind_any_padding() -> None:
    padding = {"padding": "A" * (2 << 20)}
    function = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    model = json.loads(sequential(layer("Dense", {"activation": function})))
    assert verdict({"model.json": text({**padding, **model})}) is Verdict.MALICIOUS
    assert verdict({"m.keras": keras_file(text({**padding, **model}))}) is Verdict.MALICIOUS
    assert verdict({"model.json": b" " * (2 << 20) + text(model)}) is Verdict.MALICIOUS
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        encoded = json.dumps({**padding, **model}).encode(encoding)
        assert verdict({"model.json": encoded}) is Verdict.MALICIOUS, encoding
    marked = b"\xfe\xff" + json.dumps({**padding, **model}).encode("utf-16-be")
    assert verdict({"model.json": marked}) is Verdict.MALICIOUS
    size = {"as_expr": {"expr_str": "__import__('os').system('id')", "hint": None}}
    program = {**padding, "graph_module": {"graph": {"nodes": [], "sym_int_values": {"s": size}}}}
    assert verdict({"model.json": text(program)}) is Verdict.MALICIOUS
    entity = b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><PMML>&x;</PMML>"
    assert verdict({"m.pmml": b" " * 700 + b"<?xml version='1.0'?>" + entity}) is Verdict.MALICIOUS
    node = b'node { name: "w" op: "WriteFile" }\n'
    assert verdict({"graph.pbtxt": b"#" + b"a" * 70_000 + b"\n" + node}) is Verdict.MALICIOUS
