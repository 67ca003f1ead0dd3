import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from attestations.errors import SigningError
from attestations.uris import MODEL_SCAN_V0_1, SLSA_PROVENANCE_V1
from modelsign import signing
from modelsign.errors import ConversionError, SourceError, UsageError
from modelsign.late_signer import LateSigner
from modelsign.publish import is_leftover
from modelsign.release import release
from modelsign.verification import verify
from scanners.findings import Verdict
from tests.builders.checkpoints import floats, pickled, tensor, torch_zip
from tests.builders.models import CHECKPOINT, CONFIG, HOSTILE, WEIGHTS
from tests.builders.signatures import write_key, write_model
from tests.peers import run_peer

releasing = sys.modules[release.__module__]

STRICT = """
schema = 1
[trust]
keys = { release = "release.pub" }
[identities]
release = { key = "release" }
[model]
formats = ["safetensors"]
[require.signature]
by = ["release"]
[require.scan]
by = ["release"]
[require.conversion]
by = ["release"]
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_key(tmp_path)[0]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {"pytorch_model.bin": CHECKPOINT, "config.json": CONFIG, "README.md": b"# x\n", "more/vocab.json": b"{}"}
    return write_model(tmp_path / "source", files)


def names(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def listed(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_release_is_converted_signed_attested_and_allowed_by_a_strict_policy(
    source: Path, key: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    done = release(source, tmp_path / "out", key=key)

    assert done.published
    assert names(tmp_path / "out") == [
        "README.md",
        "claims.jsonl",
        "config.json",
        "model.safetensors",
        "model.sig",
        "more/vocab.json",
    ]
    assert done.attested is not None
    assert [statement.predicate_type for statement in done.attested.statements] == [MODEL_SCAN_V0_1, SLSA_PROVENANCE_V1]
    (tmp_path / "policy.toml").write_text(STRICT)
    decision = verify(tmp_path / "out", policy=tmp_path / "policy.toml")
    assert decision.allowed
    assert all(reason.passed for reason in decision.reasons)
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_statements_call_the_model_by_the_name_it_will_have(source: Path, key: Path, tmp_path: Path) -> None:
    done = release(source, tmp_path / "tiny-lm", key=key)

    assert done.signed is not None
    assert done.signed.manifest.name == "tiny-lm"
    assert done.attested is not None
    assert {statement.subjects[0].name for statement in done.attested.statements} == {"tiny-lm"}
    for path in (tmp_path / "tiny-lm").iterdir():
        assert b".modelsign-tmp" not in (path.read_bytes() if path.is_file() else b"")


def test_a_single_checkpoint_becomes_a_directory(key: Path, tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(CHECKPOINT)

    assert release(tmp_path / "m.pt", tmp_path / "out", key=key).published
    assert names(tmp_path / "out") == ["claims.jsonl", "m.safetensors", "model.sig"]


def test_a_model_without_a_checkpoint_is_copied(key: Path, tmp_path: Path) -> None:
    source = write_model(tmp_path / "source", {"model.safetensors": WEIGHTS, "config.json": CONFIG})
    done = release(source, tmp_path / "out", key=key)

    assert (done.published, done.conversions, done.copied) == (True, (), ("config.json", "model.safetensors"))


def test_a_hostile_source_is_stopped_and_leaves_nothing(key: Path, tmp_path: Path) -> None:
    source = write_model(tmp_path / "source", {"pytorch_model.bin": HOSTILE, "config.json": CONFIG})
    done = release(source, tmp_path / "out", key=key)

    assert (done.published, done.decision, done.source.verdict) == (False, None, Verdict.MALICIOUS)
    assert listed(tmp_path) == ["release.key", "release.pub", "source"]


def test_what_could_not_be_analysed_stops_it_unless_let_pass(key: Path, tmp_path: Path) -> None:
    source = write_model(tmp_path / "source", {"model.safetensors": WEIGHTS, "x.bin": bytes(range(1, 200)) * 3})

    assert not release(source, tmp_path / "out", key=key).published
    assert release(source, tmp_path / "out", key=key, allow_incomplete=True).published


def test_a_checkpoint_that_cannot_be_converted_is_refused_and_leaves_nothing(key: Path, tmp_path: Path) -> None:
    quantised = torch_zip({"a": tensor("0", [2], dtype="qint8")}, {"0": b"\0\0"})
    source = write_model(tmp_path / "source", {"pytorch_model.bin": CHECKPOINT, "quantised.pt": quantised})

    with pytest.raises(ConversionError, match=r"quantised\.pt"):
        release(source, tmp_path / "out", key=key)
    assert listed(tmp_path) == ["release.key", "release.pub", "source"]
    done = release(source, tmp_path / "out", key=key, leave_out=["quantised.pt"])
    assert (done.published, done.left_out) == (True, ("quantised.pt",))


def test_pickles_without_tensors_are_left_behind_and_named(key: Path, tmp_path: Path) -> None:
    files = {"pytorch_model.bin": CHECKPOINT, "scheduler.pt": torch_zip({"step": 7}, {})}
    done = release(write_model(tmp_path / "source", files), tmp_path / "out", key=key)

    assert (done.published, done.left_out) == (True, ("scheduler.pt",))


def test_a_pickle_beside_the_same_weights_in_safetensors_is_left_behind(key: Path, tmp_path: Path) -> None:
    files = {"pytorch_model.bin": CHECKPOINT, "model.safetensors": WEIGHTS, "other.pt": CHECKPOINT}
    done = release(write_model(tmp_path / "source", files), tmp_path / "out", key=key)

    assert (done.published, done.left_out, done.copied) == (True, ("pytorch_model.bin",), ("model.safetensors",))


def test_shards_stay_shards_with_an_index_of_their_own(key: Path, tmp_path: Path) -> None:
    shards = {
        "pytorch_model-00001-of-00002.bin": torch_zip({"a": tensor("0", [2])}, {"0": floats(2)}),
        "pytorch_model-00002-of-00002.bin": torch_zip({"b": tensor("0", [3])}, {"0": floats(3)}),
    }
    index = {"metadata": {"total_size": 20}, "weight_map": dict(zip("ab", sorted(shards), strict=True))}
    files = {**shards, "pytorch_model.bin.index.json": json.dumps(index).encode(), "config.json": CONFIG}
    done = release(write_model(tmp_path / "source", files), tmp_path / "out", key=key)

    assert done.published
    assert names(tmp_path / "out") == [
        "claims.jsonl",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "model.sig",
    ]
    (tmp_path / "policy.toml").write_text(STRICT)
    assert verify(tmp_path / "out", policy=tmp_path / "policy.toml").allowed


def test_what_is_left_out_does_not_stop_the_rest(key: Path, tmp_path: Path) -> None:
    files = {"pytorch_model.bin": CHECKPOINT, "old.pkl": pickled({"a": 1}) + b"more", "evil.pt": HOSTILE}
    source = write_model(tmp_path / "source", files)

    assert release(source, tmp_path / "out", key=key, leave_out=["*.pkl", "evil.pt"]).published
    assert names(tmp_path / "out") == ["claims.jsonl", "model.safetensors", "model.sig"]


def test_two_checkpoints_that_would_become_one_file_get_a_name_each(key: Path, tmp_path: Path) -> None:
    source = write_model(tmp_path / "source", {"pytorch_model.bin": CHECKPOINT, "pytorch_model.pt": CHECKPOINT})

    assert release(source, tmp_path / "out", key=key).published
    made = ["claims.jsonl", "model.safetensors", "model.sig", "pytorch_model.pt.safetensors"]
    assert names(tmp_path / "out") == made


def test_signatures_and_claims_of_the_source_are_left_behind(source: Path, key: Path, tmp_path: Path) -> None:
    write_model(source, {"model.sig": b"{}", "claims.jsonl": b"{}\n", ".gitattributes": b"* text\n"})
    done = release(source, tmp_path / "out", key=key, allow_incomplete=True)

    assert done.published
    assert done.left_out == (".gitattributes", "claims.jsonl", "model.sig")


def test_checkpoints_in_directories_keep_their_places(key: Path, tmp_path: Path) -> None:
    other = torch_zip({"c": tensor("0", [3])}, {"0": floats(3)})
    source = write_model(tmp_path / "source", {"unet/model.bin": CHECKPOINT, "vae/model.bin": other})
    done = release(source, tmp_path / "out", key=key)

    assert names(tmp_path / "out") == ["claims.jsonl", "model.sig", "unet/model.safetensors", "vae/model.safetensors"]
    (conversion,) = done.conversions
    assert sorted(file.name for file in conversion.targets) == ["unet/model.safetensors", "vae/model.safetensors"]
    (tmp_path / "policy.toml").write_text(STRICT)
    assert verify(tmp_path / "out", policy=tmp_path / "policy.toml").allowed


def test_a_target_that_is_not_empty_is_refused_before_anything_is_read(source: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_bytes(b"precious")
    read: list[int] = []

    with pytest.raises(UsageError, match="--force"):
        release(source, tmp_path / "out", key=key, progress=read.append)
    assert not read
    assert release(source, tmp_path / "out", key=key, force=True).published
    assert "mine" not in names(tmp_path / "out")


def test_an_empty_target_is_filled(source: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    assert release(source, tmp_path / "out", key=key).published


@pytest.mark.parametrize("target", ["source", "source/out", "."])
def test_source_and_target_may_not_contain_each_other(source: Path, key: Path, target: str) -> None:
    with pytest.raises(UsageError):
        release(source, source.parent / target, key=key, force=True)
    assert source.exists()


def test_a_missing_source_or_parent_is_a_source_error(source: Path, key: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        release(tmp_path / "nowhere", tmp_path / "out", key=key)
    with pytest.raises(SourceError):
        release(source, tmp_path / "no" / "where", key=key)


def test_a_release_needs_somebody_who_signs(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        release(source, tmp_path / "out")


@pytest.mark.parametrize("after", [0.1, 0.4, 0.8])
def test_a_killed_release_leaves_all_of_it_or_nothing(source: Path, key: Path, tmp_path: Path, after: float) -> None:
    target = tmp_path / "out"
    script = (
        "from modelsign.release import release\nprint('begun', flush=True)\n"
        f"while True: release({str(source)!r}, {str(target)!r}, key={str(key)!r}, force=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    if target.exists():
        assert verify(target, keys=[key.with_suffix(".pub")]).allowed
    assert release(source, target, key=key, force=True).published
    assert not [name for name in listed(tmp_path) if is_leftover(name)]


@pytest.mark.interop
def test_model_signing_accepts_a_release_with_claims(source: Path, key: Path, tmp_path: Path) -> None:
    release(source, tmp_path / "out", key=key)
    place = tmp_path / "out"
    command = ("-m", "model_signing", "verify", "key", place, "--signature", place / "model.sig")
    done = run_peer("model-signing", *command, "--public_key", key.with_suffix(".pub"))

    assert "Verification succeeded" in done.stdout
    (place / "config.json").write_bytes(CONFIG + b" ")
    assert run_peer("model-signing", *command, "--public_key", key.with_suffix(".pub"), check=False).returncode


def test_no_worker_begins_with_the_key_in_memory(
    source: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    def telling(what: str, function: Any) -> Any:
        def told(*arguments: Any, **options: Any) -> Any:
            happened.append(what)
            return function(*arguments, **options)

        return told

    monkeypatch.setattr(releasing, "scan", telling("scan", releasing.scan))
    monkeypatch.setattr(releasing, "convert_directory", telling("convert", releasing.convert_directory))
    monkeypatch.setattr(signing, "signer_of", telling("key", signing.signer_of))
    monkeypatch.setattr(LateSigner, "let_go", telling("gone", LateSigner.let_go))
    monkeypatch.setattr(releasing, "verify", telling("verify", releasing.verify))

    assert release(source, tmp_path / "out", key=key).published
    assert [what for what in happened if what != "key"] == ["scan", "convert", "scan", "gone", "verify"]
    assert happened.index("key") == 3


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused_before_anything_is_scanned(
    source: Path, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no.key").write_bytes(content)
    monkeypatch.delattr(releasing, "scan")
    with pytest.raises(SigningError, match=r"no\.key"):
        release(source, tmp_path / "out", key=tmp_path / "no.key")
