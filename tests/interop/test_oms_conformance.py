"""The 71 cases of the OMS conformance suite, run through the adapter that its protocol asks for."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.interop import oms_adapter
from tests.vectors import VECTORS, needs_vectors

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

pytestmark = [pytest.mark.interop, needs_vectors]

SUITE = VECTORS / "oms" / "oms-conformance"
ASSETS = SUITE / "assets"
ROUNDTRIPS = sorted(SUITE.glob("test-cases/roundtrip/*"))
VERIFICATIONS = sorted(SUITE.glob("test-cases/verify/*/*"))
PUBLIC_GOOD = VECTORS / "oms" / "trusted-roots" / "production.client_trust_config.json"


def config_of(case: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((case / "config.json").read_bytes())
    return config


def model_of(case: Path, config: dict[str, Any], directory: Path) -> Path:
    """Copy the case's model and change it as the case says."""
    source = (case if config.get("model_relative_to") == "test_dir" else ASSETS) / config["model"]
    model = directory / (source.name if source.is_file() else "model")
    if source.is_file():
        shutil.copy(source, model)
    else:
        shutil.copytree(source, model)
    changes = config.get("model_modifications", {})
    root = model if model.is_dir() else model.parent
    for name, text in {**changes.get("tamper", {}), **changes.get("inject", {})}.items():
        (root / name).write_text(text)
    for name in changes.get("delete", []):
        (root / name).unlink(missing_ok=True)
    for name, target in changes.get("symlinks", {}).items():
        (root / name).symlink_to(target)
    return model


def common(config: dict[str, Any], model: Path) -> list[str]:
    names = config.get("verify", {}).get("ignore_paths", [])
    root = model if model.is_dir() else model.parent
    ignored = [word for name in names for word in ("--ignore-paths", str(root / name))]
    return ["--method", config["method"], "--model-path", str(model), *ignored]


def verify(config: dict[str, Any], model: Path, bundle: Path, identity: dict[str, str]) -> int:
    asked = config["verify"]
    arguments = ["verify-model", *common(config, model), "--bundle", str(bundle)]
    if "public_key" in asked:
        arguments += ["--public-key", str(ASSETS / asked["public_key"])]
    arguments += [word for path in asked.get("cert_chain", []) for word in ("--cert-chain", str(ASSETS / path))]
    for option in ("identity", "identity_provider"):
        if option in asked:
            arguments += [f"--{option.replace('_', '-')}", identity.get(asked[option], asked[option])]
    if asked.get("ignore_unsigned_files"):
        arguments.append("--ignore-unsigned-files")
    return oms_adapter.main(arguments)


def resources_of(bundle: Path) -> list[dict[str, Any]]:
    payload = json.loads(base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"]))
    resources: list[dict[str, Any]] = payload["predicate"]["resources"]
    return resources


def test_all_cases_are_here() -> None:
    assert (len(ROUNDTRIPS), len(VERIFICATIONS)) == (28, 43)


@pytest.mark.parametrize("case", VERIFICATIONS, ids=lambda case: case.name)
def test_verification(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMS_TRUST_CONFIG", str(PUBLIC_GOOD))
    config = config_of(case)
    model = model_of(case, config, tmp_path)
    code = verify(config, model, case / "bundle.sig", {})
    if config.get("expect") == "fail":
        assert code in {2, 11, 12, 13, 16}
        return
    assert code == 0
    if "expected_signed_files" in config:
        assert sorted(item["name"] for item in resources_of(case / "bundle.sig")) == config["expected_signed_files"]


@pytest.mark.parametrize("case", ROUNDTRIPS, ids=lambda case: case.name)
def test_roundtrip(
    case: Path, tmp_path: Path, sigstore_stack: "SigstoreStack", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMS_TRUST_CONFIG", str(sigstore_stack.trust_config))
    config = config_of(case)
    model = model_of(case, config, tmp_path)
    bundle = (model if config.get("sig_inside_model") else tmp_path) / "bundle.sig"
    arguments = ["sign-model", *common(config, model), "--output-bundle", str(bundle)]
    asked = config["sign"]
    for option in ("private_key", "signing_cert"):
        if option in asked:
            arguments += [f"--{option.replace('_', '-')}", str(ASSETS / asked[option])]
    arguments += [word for path in asked.get("cert_chain", []) for word in ("--cert-chain", str(ASSETS / path))]
    if "identity_token_env" in asked:
        arguments += ["--identity-token", sigstore_stack.token()]
    code = oms_adapter.main(arguments)
    if config.get("expect") == "fail":
        assert code not in {0, 70}
        assert not bundle.exists()
        return
    assert code == 0
    check_bundle(bundle)
    if config["verify"].get("ignore_unsigned_files"):
        (model / "injected.bin").write_text("injected after signing\n")
    people = {"${SIGSTORE_IDENTITY}": "dev@example.com", "${SIGSTORE_ISSUER}": sigstore_stack.issuer}
    assert verify(config, model, bundle, people) == 0
    names = sorted(item["name"] for item in resources_of(bundle))
    assert names == sorted(config.get("expected_signed_files", names))


def check_bundle(path: Path) -> None:
    """Hold a bundle of ours against the published schemas and what the suite asserts besides."""
    document = json.loads(path.read_bytes())
    schemas = [json.loads(item.read_bytes()) for item in (VECTORS / "oms" / "oms-spec" / "schemas").glob("*.json")]
    registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    for name, value in (("bundle", document), ("statement", statement), ("predicate", statement["predicate"])):
        schema = next(schema for schema in schemas if f"/{name}/" in schema["$id"])
        Draft202012Validator(schema, registry=registry).validate(value)
    resources = statement["predicate"]["resources"]
    assert [item["name"] for item in resources] == sorted(item["name"] for item in resources)
    root = hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in resources)).hexdigest()
    assert statement["subject"][0]["digest"]["sha256"] == root


def test_adapter_runs_as_a_program(tmp_path: Path) -> None:
    case = SUITE / "test-cases" / "verify" / "positive" / "key-multi-file"
    config = config_of(case)
    model = model_of(case, config, tmp_path)
    key = ASSETS / config["verify"]["public_key"]
    options = ["--method", "key", "--model-path", model, "--bundle", case / "bundle.sig", "--public-key", key]
    command = [sys.executable, str(Path(oms_adapter.__file__)), "verify-model", *map(str, options)]
    root = Path(oms_adapter.__file__).parents[2]
    done = subprocess.run(command, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
