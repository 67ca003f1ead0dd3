"""JSON files of model repositories: which code and which other repositories a loader would fetch because of them.

Read: `auto_map` and `custom_pipelines` (transformers), `auto_mapping` (PEFT), the module lists of `model_index.json`
(diffusers) and `modules.json` (sentence-transformers), `_target_` (Hydra), `class_path` (jsonargparse), `target`
(`instantiate_from_config`), kernels and generation code of other repositories, switches that allow code from elsewhere,
and the models and tokenizers a loader would fetch besides; the items of a Core ML package; pickles in base64
(`:serialized:`, stable-baselines3).
Everything else in a JSON file is data. Templates inside (`chat_template`) are another format's business.

Sources: transformers `dynamic_module_utils.py` (`repo--module.Class`), diffusers `pipeline_loading_utils.py`,
peft `auto.py`, sentence-transformers `util.import_from_string`, Hydra `instantiate`, stable-baselines3
`common/save_util.py` (`json_to_data`).
"""

import base64
import binascii
from collections.abc import Iterator

from scanners import detect
from scanners.errors import FormatError
from scanners.facts import Identified, Reference
from scanners.formats.json_text import Json, document_of
from scanners.patterns import late
from scanners.reader import BytesReader
from scanners.reading import Blob, Reading

NAME = "json"

_DIFFUSERS_LIBRARIES = frozenset(
    """
    diffusers transformers onnxruntime flax tokenizers optimum peft gguf k_diffusion accelerate
    allegro amused animatediff audioldm audioldm2 aura_flow blip_diffusion bria chroma cogvideo cogview3 cogview4
    consisid consistency_models controlnet controlnet_hunyuandit controlnet_sd3 controlnet_xs cosmos dance_diffusion
    ddim ddpm deepfloyd_if dit easyanimate flux free_noise_utils hidream_image hunyuan_video hunyuandit i2vgen_xl
    kandinsky kandinsky2_2 kandinsky3 kolors latent_consistency_models latent_diffusion latte ledits_pp ltx lumina
    lumina2 marigold mochi musicldm omnigen pag paint_by_example pia pixart_alpha qwenimage sana
    semantic_stable_diffusion shap_e skyreels_v2 spectrogram_diffusion stable_audio stable_cascade stable_diffusion
    stable_diffusion_3 stable_diffusion_attend_and_excite stable_diffusion_diffedit stable_diffusion_gligen
    stable_diffusion_k_diffusion stable_diffusion_ldm3d stable_diffusion_panorama stable_diffusion_safe
    stable_diffusion_sag stable_diffusion_xl stable_video_diffusion t2i_adapter text_to_video_synthesis unclip
    unidiffuser versatile_diffusion visualcloze vq_diffusion wan wuerstchen
    """.split()
)
"""what `model_index.json` may name without meaning a module of the repository: libraries, diffusers' own pipelines"""
_FETCHED = frozenset(
    "base_model_name_or_path base_model tokenizer_name_or_path tokenizer_name pretrained_model_name_or_path"
    " model_name_or_path vision_tower mm_vision_tower audio_tower encoder_name_or_path speculative_model draft_model"
    " assistant_model timm_model_name text_encoder_name_or_path".split()
)
"""other repositories (or directories) whose weights, configuration or tokenizer a loader takes"""
_UNASKED_KERNELS = frozenset({"_attn_implementation_internal", "_experts_implementation_internal"})
"""attributes that transformers 4.56 to 5.2 took from a configuration, and fetched kernels for (CVE-2026-4372)"""
_KERNELS = (
    frozenset({"attn_implementation", "_attn_implementation", "experts_implementation", "kernel_repo"})
    | _UNASKED_KERNELS
)
_ACTIVATIONS = frozenset({"activation_function", "activation_fn", "sbert_ce_default_activation_function"})
"""keys whose value sentence-transformers imports and calls, where it is a dotted name"""
NAMES_CALLABLE = frozenset({"_target_", "class_path", "target"}) | _ACTIVATIONS
"""keys whose value `hydra.utils.instantiate` and its kin import and call"""
DOTTED = late(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_SERIALIZED = ":serialized:"
"""the key under which stable-baselines3 keeps what only a pickle can hold; `load` unpickles it"""
_SWITCHES = frozenset({"trust_remote_code", "custom_pipeline", "custom_revision", "code_revision"})


def matches(blob: Blob) -> bool:
    """Return whether the blob is called JSON, or begins like a JSON object without being called anything else."""
    suffix = detect.suffix_of(blob.name)
    if suffix == "json":
        return True
    if suffix and suffix not in {"config", "index", "txt"}:
        return False
    return (
        blob.reader.read_at(0, 256)
        .lstrip(b"\xef\xbb\xbf \t\r\n")
        .startswith((b"{\n", b'{"', b"{ ", b"{\r", b"{\t", b"{}"))
    )


def read(blob: Blob, reading: Reading) -> None:
    """State references to code and repositories, and keys that occur twice."""
    named = detect.suffix_of(blob.name) == "json"
    try:
        document = document_of(blob, reading.budget)
    except FormatError:
        if named:
            raise
        return  # it only looked like JSON, and nothing claims it is
    reading.state(Identified(location=reading.at(), format=NAME))
    reading.parsed(0, blob.reader.size)
    for key in document.duplicates[:20]:
        reading.anomaly(
            "json-duplicate-key", f"the key {key!r} occurs twice in one object; parsers pick different ones"
        )
    for kind, target, context in references(document.value, blob.name):
        reading.state(Reference(location=reading.at(), kind=kind, target=target, context=context))
    _serialized(document.value, reading)


def _serialized(value: Json, reading: Reading) -> None:
    """Hand on what a file of stable-baselines3 holds in base64, as its loader finds it: one level down."""
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        text = inner.get(_SERIALIZED) if isinstance(inner, dict) else None
        if not isinstance(text, str):
            continue
        try:
            data = base64.b64decode(text.encode("ascii", "replace"))  # as the loader: what is no digit is skipped
        except binascii.Error:
            reading.unread(f"what {key!r} holds under {_SERIALIZED!r} is no base64")
            continue
        reading.budget.spend_materialised(len(data))
        reading.child(
            "serialized.pkl", BytesReader(data), span=(0, 0), stored=False, label=f"{key[-200:]}{_SERIALIZED}"
        )


def references(value: Json, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (kind, target, context) of everything a loader would import or fetch. Walks by loop: depth is hostile."""
    yield from _of_a_file(value, name)
    work: list[tuple[Json, str]] = [(value, "")]
    while work:
        item, path = work.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                if isinstance(inner, (dict, list)):
                    work.append((inner, f"{path}.{key}" if path else key))
                if key in _KEYS or key in _SWITCHES:
                    yield from _of_a_key(key, inner, path)
        elif isinstance(item, list):
            work += [(inner, f"{path}[]") for inner in item if isinstance(inner, (dict, list))]


_KEYS = (
    frozenset({"auto_map", "custom_pipelines", "auto_mapping", "custom_generate"})
    | NAMES_CALLABLE
    | _FETCHED
    | _KERNELS
)


def _of_a_key(key: str, inner: Json, path: str) -> Iterator[tuple[str, str, str]]:
    context = f"{path}.{key}" if path else key
    if key == "auto_map":
        for label, target in _strings(inner):
            yield _kind(target), target, f"{context}.{label}" if label else context
    elif key == "custom_pipelines" and isinstance(inner, dict):
        for task, entry in inner.items():
            implementation = entry.get("impl") if isinstance(entry, dict) else None
            if isinstance(implementation, str):
                yield _kind(implementation), implementation, f"{context}.{task}.impl"
    elif key == "auto_mapping" and isinstance(inner, dict):
        library = inner.get("parent_library")
        if isinstance(library, str) and library.split(".")[0] not in {"transformers", "diffusers", "peft"}:
            yield "package", library, f"{context}.parent_library"
    elif key in NAMES_CALLABLE and isinstance(inner, str):
        if key == "_target_" or DOTTED.fullmatch(inner):
            yield "callable", inner, context
    elif key in _FETCHED and isinstance(inner, str) and inner:
        yield "model", inner, context
    elif key == "custom_generate" and isinstance(inner, str) and inner:
        yield "repository" if "/" in inner else "code", inner, context
    elif key in _KERNELS:
        for label, target in _strings(inner):
            if "/" in target:
                kind = "unasked-kernel" if key in _UNASKED_KERNELS else "kernel"
                yield kind, target, f"{context}.{label}" if label else context
    elif key in _SWITCHES and (inner is True or (isinstance(inner, str) and inner)):
        yield "switch", str(inner), context


def _of_a_file(value: Json, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield what only files of a certain name mean."""
    if name in {"model_index.json", "modular_model_index.json"} and isinstance(value, dict):
        for key, entry in value.items():
            # ["library", "Class"]: a library that is no installed one is a module beside the file. A third member, of
            # modular pipelines, says where to load the part from, and its class once more.
            if not isinstance(entry, list):
                continue
            named = [entry] if len(entry) in {2, 3} else []
            named += [
                hint for one in entry[2:] if isinstance(one, dict) and isinstance(hint := one.get("type_hint"), list)
            ]
            for library, *rest in named:
                if isinstance(library, str) and rest and _is_local(library):
                    yield "code", f"{library}.{rest[0]}", key
    elif name == "modules.json" and isinstance(value, list):
        for entry in value:
            target = entry.get("type") if isinstance(entry, dict) else None
            if isinstance(target, str) and not target.startswith("sentence_transformers."):
                yield "code", target, "modules.type"
                yield "callable", target, "modules.type"  # imported as it is where the repository has no such module
    elif name == "Manifest.json" and isinstance(value, dict):
        # A package of Core ML: the model and its weights, by paths below `Data`.
        items = value.get("itemInfoEntries")
        for entry in items.values() if isinstance(items, dict) else ():
            path = entry.get("path") if isinstance(entry, dict) else None
            if isinstance(path, str):
                yield "linked-weights", path[:4096], "itemInfoEntries"
    elif isinstance(value, dict) and isinstance(value.get("types"), dict) and "structure" in value:
        # Router and Asym of sentence-transformers: the classes of their parts, imported by name.
        for _, target in _strings(value["types"]):
            if DOTTED.fullmatch(target) and not target.startswith("sentence_transformers."):
                yield "code", target, "types"
                yield "callable", target, "types"
    elif isinstance(value, dict) and value.get("trust_remote_code") is True:
        # LightGlue hands the switch of its own configuration on to the loader of its detector (CVE-2026-5241).
        detector = value.get("keypoint_detector_config")
        source = detector.get("_name_or_path") if isinstance(detector, dict) else None
        if isinstance(source, str) and source:
            yield "repository", source, "keypoint_detector_config._name_or_path"


def _is_local(library: str) -> bool:
    return library.split(".", maxsplit=1)[0] not in _DIFFUSERS_LIBRARIES


def _kind(target: str) -> str:
    """`repo--module.Class` names another repository's code; a plain name, code beside the file."""
    return "repository" if "--" in target or "://" in target else "code"


def _strings(value: Json) -> Iterator[tuple[str, str]]:
    """Yield (label, text) of the strings in a value, in a list, or in a dict of either."""
    if isinstance(value, str):
        yield "", value
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, str):
                yield "", inner
    elif isinstance(value, dict):
        for key, entry in value.items():
            for inner in entry if isinstance(entry, list) else [entry]:
                if isinstance(inner, str):
                    yield key, inner
