"""JSON configuration: the references a loader follows, and the bounds of the reader."""

import base64
import json

import pytest

from scanners.engine import scan_blob
from scanners.errors import FormatError, LimitExceeded
from scanners.findings import FileReport, Verdict
from scanners.formats.json_config import references
from scanners.formats.json_text import Json, parse
from scanners.reader import BytesReader
from tests.builders import pickles as p


def scan(value: object, name: str = "config.json") -> FileReport:
    return scan_text(json.dumps(value).encode(), name)


def scan_text(text: bytes, name: str = "config.json") -> FileReport:
    return scan_blob(BytesReader(text), name).report


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"auto_map": {"AutoModel": "modeling.Model"}},
            ("code", "modeling.Model", "auto_map.AutoModel"),
        ),
        (
            {"auto_map": {"AutoTokenizer": ["tok.Slow", None]}},
            ("code", "tok.Slow", "auto_map.AutoTokenizer"),
        ),
        (
            {"text": {"auto_map": {"AutoModel": "o/r--modeling.Model"}}},
            ("repository", "o/r--modeling.Model", "text.auto_map.AutoModel"),
        ),
        (
            [{"auto_map": {"AutoModel": "m.M"}}],
            ("code", "m.M", "[].auto_map.AutoModel"),
        ),
        (
            {"custom_pipelines": {"t": {"impl": "pipe.Pipe", "pt": ["AutoModel"]}}},
            ("code", "pipe.Pipe", "custom_pipelines.t.impl"),
        ),
        (
            {"auto_mapping": {"base_model_class": "X", "parent_library": "evil.module"}},
            ("package", "evil.module", "auto_mapping.parent_library"),
        ),
        ({"custom_pipeline": "owner/repo"}, ("switch", "owner/repo", "custom_pipeline")),
        ({"trust_remote_code": True}, ("switch", "True", "trust_remote_code")),
        ({"model": {"_target_": "os.system"}}, ("callable", "os.system", "model._target_")),
    ],
)
def test_reference_is_found_with_its_key(value: object, expected: tuple[str, str, str]) -> None:
    assert expected in list(references(json.loads(json.dumps(value))))


@pytest.mark.parametrize(
    "value",
    [
        {"auto_map": 17, "vocab": {"auto_map": 3, "trust_remote_code": 4}},
        {"trust_remote_code": False, "custom_pipeline": None},
        {"auto_mapping": {"base_model_class": "LlamaForCausalLM", "parent_library": "transformers.models.llama"}},
        {"architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16"},
    ],
)
def test_ordinary_keys_are_no_references(value: object) -> None:
    assert not list(references(json.loads(json.dumps(value))))


def test_diffusers_component_from_a_module_beside_it_is_code() -> None:
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["my_unet", "MyUNet"]}

    assert list(references(json.loads(json.dumps(index)), "model_index.json")) == [("code", "my_unet.MyUNet", "unet")]


def test_diffusers_components_of_libraries_are_not() -> None:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": [None, None],
    }

    assert not list(references(json.loads(json.dumps(index)), "model_index.json"))


def test_sentence_transformers_module_of_another_package_is_code() -> None:
    modules = [{"idx": 0, "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "type": "custom.Layer"}]

    found = list(references(json.loads(json.dumps(modules)), "modules.json"))
    assert found == [("code", "custom.Layer", "modules.type"), ("callable", "custom.Layer", "modules.type")]


def test_auto_map_to_another_repository_is_suspicious_and_says_what_would_be_imported() -> None:
    report = scan({"auto_map": {"AutoModel": "org/repo--modeling.Model"}})

    assert report.verdict is Verdict.SUSPICIOUS
    assert "modeling.Model" in report.findings[0].message


def test_auto_map_to_code_beside_it_is_a_note_because_the_code_is_judged_itself() -> None:
    report = scan({"auto_map": {"AutoModel": "modeling.Model"}})

    assert report.verdict is Verdict.CLEAN
    assert [finding.rule.id for finding in report.findings] == ["MS401"]


def test_switch_alone_is_a_note() -> None:
    report = scan({"trust_remote_code": True})

    assert report.verdict is Verdict.CLEAN
    assert [finding.rule.id for finding in report.findings] == ["MS401"]


def test_ordinary_configuration_is_clean_and_fully_parsed() -> None:
    report = scan({"hidden_size": 64, "id2label": {"0": "a"}})

    assert (report.verdict, report.formats) == (Verdict.CLEAN, ("json",))
    assert report.coverage.parsed == report.size


@pytest.mark.parametrize("text", [b"{", b" ", b"{'a': 1}", b'{"a": 1} x', b"\xff\xfe{\x00", b'{"a": tru}'])
def test_broken_json_is_incomplete_not_clean(text: bytes) -> None:
    assert scan_text(text).verdict is Verdict.INCOMPLETE


def test_file_without_suffix_that_looks_like_json_is_read() -> None:
    assert scan_text(b'{"auto_map": {"x": "a/b--y.Z"}}', "config").verdict is Verdict.SUSPICIOUS


def test_text_that_only_begins_like_json_is_nobodys_input() -> None:
    assert scan_text(b"{ this is prose", "notes.txt").verdict is Verdict.UNSUPPORTED


def test_duplicate_keys_are_kept_in_mind() -> None:
    assert parse(b'{"a": 1, "b": {"c": 1, "c": 2}, "a": 2}').duplicates == ("a", "c")


def test_byte_order_mark_is_skipped() -> None:
    assert parse(b"\xef\xbb\xbf[1]").value == [1]


def test_deep_nesting_is_refused_not_a_crash() -> None:
    with pytest.raises(FormatError, match="nested"):
        parse(b"[" * 200_000 + b"]" * 200_000)


def test_very_long_number_is_read_as_text() -> None:
    assert parse(b"[" + b"9" * 5000 + b"]").value == ["9" * 5000]


def test_text_of_millions_of_values_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        parse(b"[" + b"[]," * 2_000_001 + b"[]]")


def test_place_of_the_error_counts_bytes() -> None:
    with pytest.raises(FormatError) as caught:
        parse('["é", x]'.encode())

    assert caught.value.offset == 7


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"base_model_name_or_path": "org/base"}, ("model", "org/base", "base_model_name_or_path")),
        ({"tokenizer_name_or_path": "org/tok"}, ("model", "org/tok", "tokenizer_name_or_path")),
        ({"mm_vision_tower": "openai/clip"}, ("model", "openai/clip", "mm_vision_tower")),
        ({"custom_generate": "org/gen"}, ("repository", "org/gen", "custom_generate")),
        ({"attn_implementation": {"": "org/kernel"}}, ("kernel", "org/kernel", "attn_implementation")),
    ],
)
def test_what_a_loader_fetches_besides_is_a_reference(document: Json, expected: tuple[str, str, str]) -> None:
    assert expected in list(references(document))


def serialized(pickle: bytes) -> dict[str, object]:
    text = base64.b64encode(pickle).decode()
    return {"verbose": 0, "policy_class": {":type:": "<class 'abc.ABCMeta'>", ":serialized:": text}}


@pytest.mark.parametrize("protocol", range(6))
def test_what_stable_baselines_unpickles_is_read(protocol: int) -> None:
    report = scan(
        serialized(p.proto(protocol) + p.system() if protocol > 1 else b"cos\nsystem\n(S'id'\ntR."), name="data"
    )

    assert report.verdict is Verdict.MALICIOUS
    assert report.findings[0].location.members == ("policy_class:serialized:",)


def test_what_stable_baselines_saves_is_quiet() -> None:
    pickle = p.proto(4) + p.stack_global("stable_baselines3.common.policies", "ActorCriticPolicy") + p.STOP

    assert scan(serialized(pickle), name="data").verdict is Verdict.CLEAN
