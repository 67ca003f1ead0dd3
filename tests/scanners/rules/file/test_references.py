import pytest

from scanners.findings import Verdict
from scanners.rules.file import references
from tests.scanners.rules.examples import Example, scan_files


def _twins(name: str, bad: bytes, good: bytes) -> Example:
    return Example(bad=lambda: {name: bad}, good=lambda: {name: good})


def _aliases(levels: int) -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels + 1)]
    return "\n".join(lines).encode()


EXAMPLES = {
    "MS430": _twins("c.yaml", b"a: !!python/object/apply:os.system [id]", b"a: !!python/tuple [1, 2]"),
    "MS431": _twins("c.yaml", b"m:\n  _target_: os.system\n", b"m:\n  _target_: torch.nn.Linear\n"),
    "MS432": _twins(
        "MLmodel",
        b"flavors:\n  python_function:\n    loader_module: my_loader\n",
        b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n",
    ),
    "MS434": _twins(
        "config.json", b'{"token": "hf_' + b"aB3dE5gH7jK9mN1pQ2sT4vW6xY8zA0cD5f" + b'"}', b'{"token": "hf_x"}'
    ),
    "MS435": _twins("c.yaml", _aliases(8), _aliases(2)),
    "MS433": _twins("requirements.txt", b"git+https://github.com/a/b", b"torch==2.6\n"),
}


def verdict(name: str, text: str) -> Verdict:
    return scan_files({name: text.encode()}).verdict


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("c.yaml", "a: !!python/object/apply:subprocess.run [[id]]", Verdict.MALICIOUS),
        ("c.yaml", "a: !!python/object:my.Thing {}", Verdict.SUSPICIOUS),
        ("c.yaml", "a: !!python/tuple [1, 2]", Verdict.CLEAN),
        ("c.yaml", "m: {_target_: builtins.eval}", Verdict.MALICIOUS),
        ("c.yaml", "m: {_target_: colorsys.rgb_to_hls}", Verdict.SUSPICIOUS),
        ("c.yaml", "m: {_target_: nemo.collections.asr.models.EncDecCTCModel}", Verdict.CLEAN),
        ("c.yaml", "m: {_target_: functools.partial}", Verdict.CLEAN),
        ("c.yaml", "m: {_target_: hydra.utils.get_method, path: os.system}", Verdict.SUSPICIOUS),
        ("c.yaml", "m:\n  class_path: os.system", Verdict.MALICIOUS),
        ("c.yaml", 'm: {_target_: "os.\\x73ystem"}', Verdict.MALICIOUS),
        ("c.yaml", 'm: {"_targ\\x65t_": os.system}', Verdict.MALICIOUS),
        ("c.yaml", '{"m":{"_target_":"os\\u002esystem"}}', Verdict.MALICIOUS),
        ("c.yaml", "m:\n  ? |-\n    _target_\n  : os.system\n", Verdict.MALICIOUS),
        ("c.yaml", "fn: os\nm:\n  _target_: ${fn}.system\n", Verdict.MALICIOUS),
        ("c.yaml", "m:\n  _target_: ${oc.env:X,os.system}\n", Verdict.MALICIOUS),
        ("c.yaml", "m:\n  _target_: ${oc.env:X,torch.nn.Linear}\n", Verdict.CLEAN),
        ("MLmodel", f"flavors:\n  sklearn:\n    pickled_model: {'./' * 600}../../x.pkl", Verdict.MALICIOUS),
        ("model.bin.index.json", f'{{"weight_map": {{"a": "{"./" * 600}../../x.bin"}}}}', Verdict.MALICIOUS),
        ("hyperparams.yaml", "x: !apply:os.system [id]", Verdict.MALICIOUS),
        ("hyperparams.yaml", "x: !new:subprocess.Popen\n  args: [id]", Verdict.MALICIOUS),
        ("hyperparams.yaml", "x: !name:colorsys.rgb_to_hls", Verdict.SUSPICIOUS),
        ("hyperparams.yaml", "x: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN\n  a: 1", Verdict.CLEAN),
        ("hyperparams.yaml", "x: !apply:torch.manual_seed [!ref <seed>]\ny: !apply:random.seed [1]", Verdict.CLEAN),
        ("hyperparams.yaml", "x: !apply:os.path.join [a, b]", Verdict.CLEAN),
        ("requirements.txt", "https://example.invalid/x.whl", Verdict.SUSPICIOUS),
        ("requirements.txt", "-r https://example.invalid/r.txt", Verdict.SUSPICIOUS),
        ("requirements.txt", "--index-url https://198.51.100.7:8443/simple\nnumpy", Verdict.SUSPICIOUS),
        ("requirements.txt", "git+ssh://git@example.invalid/x.git", Verdict.SUSPICIOUS),
        ("requirements.txt", "x @ https://token@github.com.example.invalid/x.zip", Verdict.SUSPICIOUS),
        ("requirements.txt", "-i https://pypi.tuna.tsinghua.edu.cn/simple\nnumpy", Verdict.CLEAN),
        ("requirements.txt", "x @ https://token@github.com/a/b/archive/main.zip", Verdict.CLEAN),
        ("requirements.txt", "numpy @ file:///croot/numpy_and_numpy_base", Verdict.CLEAN),
        ("conda.yaml", "dependencies:\n- pip:\n  - -i http://198.51.100.7/simple", Verdict.SUSPICIOUS),
        ("conda.yaml", "channels: [conda-forge]\ndependencies:\n- pip:\n  - mlflow==2.9", Verdict.CLEAN),
        ("python_env.yaml", "dependencies:\n- 'numpy; $(id)'", Verdict.MALICIOUS),
        ("python_env.yaml", "dependencies:\n- 'numpy>=1.2; python_version < \"3.9\"'\n- pip<=23", Verdict.CLEAN),
        ("MLmodel", "flavors:\n  sklearn:\n    pickled_model: ../../x.pkl", Verdict.MALICIOUS),
        ("data/pickle_module_info.txt", "my_pickles", Verdict.SUSPICIOUS),
        ("data/pickle_module_info.txt", "mlflow.pytorch.pickle_module", Verdict.CLEAN),
        ("data/keras_module.txt", "keras", Verdict.CLEAN),
        ("c.yaml", "m:\n  target: os.system\n  params: {command: id}", Verdict.MALICIOUS),
        ("c.yaml", "m:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion", Verdict.CLEAN),
        ("c.yaml", "target: string.capwords", Verdict.CLEAN),
        ("c.yaml", "target: torch.ops.aten.linear.default", Verdict.CLEAN),
        ("c.yaml", "_target_: torch.ops.load_library", Verdict.MALICIOUS),
        ("c.yaml", "m: {_target_: builtins.getattr}", Verdict.SUSPICIOUS),
        ("config.json", '{"activation_function": "subprocess.getoutput"}', Verdict.MALICIOUS),
        ("config.json", '{"sentence_transformers": {"activation_fn": "os.abort"}}', Verdict.MALICIOUS),
        ("config.json", '{"activation_function": "torch.nn.modules.activation.Tanh"}', Verdict.CLEAN),
        ("config.json", '{"activation_function": "gelu_new"}', Verdict.CLEAN),
        ("model.onnxtxt", "ir_version: 8", Verdict.INCOMPLETE),
        ("c.yaml", "target: torch.ops.load_library", Verdict.MALICIOUS),
        ("hparams.txt", "!!python/object/apply:os.system [id]", Verdict.MALICIOUS),
        ("settings", "a: !!python/object/apply:os.system [id]", Verdict.MALICIOUS),
        ("conda.yaml", "dependencies:\n- pip:\n  - x @ http://198.51.100.7/x.whl", Verdict.SUSPICIOUS),
        ("conda.yaml", "dependencies:\n- python=3.11\n- pip:\n  - torch==2.6", Verdict.CLEAN),
        ("requirements.txt", "-r http://198.51.100.7/r.txt", Verdict.SUSPICIOUS),
        ("modules.json", '[{"idx": 0, "name": "0", "path": "", "type": "os.system"}]', Verdict.MALICIOUS),
        ("modules.json", '[{"idx": 0, "type": "sentence_transformers.models.Pooling"}]', Verdict.CLEAN),
        ("config.json", '{"attn_implementation": "other-org/kernel"}', Verdict.SUSPICIOUS),
        ("config.json", '{"attn_implementation": "kernels-community/flash-attn"}', Verdict.CLEAN),
        ("config.json", '{"attn_implementation": "flash_attention_2"}', Verdict.CLEAN),
        ("generation_config.json", '{"custom_generate": "other-org/generate"}', Verdict.SUSPICIOUS),
        ("MLmodel", "flavors:\n  python_function:\n    loader_module: evil", Verdict.SUSPICIOUS),
        ("MLmodel", "flavors:\n  python_function:\n    loader_module: mlflow.pytorch\n    code: code", Verdict.CLEAN),
        ("MLmodel", "flavors:\n  python_function:\n    code: ../../outside", Verdict.MALICIOUS),
        ("requirements.txt", "--extra-index-url https://download.pytorch.org/whl/cu121\ntorch", Verdict.CLEAN),
        ("requirements.txt", "--index-url http://198.51.100.7/simple", Verdict.SUSPICIOUS),
    ],
)
def test_severity_follows_what_the_reference_leads_to(name: str, text: str, expected: Verdict) -> None:
    assert verdict(name, text) is expected


def test_cve_2025_23304_nemo_hydra_target() -> None:
    assert (
        verdict("model_config.yaml", "decoder:\n  _target_: subprocess.check_output\n  args: [id]") is Verdict.MALICIOUS
    )


def test_mlflow_loader_module_of_the_artifact() -> None:
    report = scan_files({"MLmodel": b"flavors:\n  python_function:\n    loader_module: backdoor\n"})
    assert [finding.rule for finding in report.findings] == [references.MLFLOW]
