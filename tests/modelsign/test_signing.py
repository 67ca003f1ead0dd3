import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attestations.bundle import Bundle
from attestations.errors import NotRegular, SigningError
from attestations.manifest import measure, measure_against
from attestations.predicates.oms_signature import manifest_of
from attestations.verify import verify_bundle
from modelsign.attesting import attest
from modelsign.errors import SourceError, UsageError
from modelsign.signing import sign
from modelsign.verification import verify
from tests.builders.signatures import FILES, verifier, write_key, write_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_key(tmp_path)[0]


def holds(model: Path, signature: Path, ignored: tuple[str, ...] = ()) -> bool:
    proven = verify_bundle(Bundle.parse(signature.read_bytes()), [verifier()])
    return not measure_against(manifest_of(proven.statement), model, ignored=ignored).differences


def test_signed_model_holds(model: Path, key: Path) -> None:
    signed = sign(model, key=key)
    assert signed.signature == model / "model.sig"
    assert signed.manifest.files() == tuple(sorted(FILES))
    assert holds(model, signed.signature)


def test_one_flipped_byte_does_not(model: Path, key: Path) -> None:
    signature = sign(model, key=key).signature
    content = bytearray((model / "w.bin").read_bytes())
    content[3000] ^= 1
    (model / "w.bin").write_bytes(content)
    assert not holds(model, signature)


def test_single_file_is_signed_beside_itself(tmp_path: Path, key: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    signature = sign(tmp_path / "m.gguf", key=key).signature
    assert signature == tmp_path / "m.gguf.sig"
    assert holds(tmp_path / "m.gguf", signature)


def test_single_file_is_named_as_asked(tmp_path: Path, key: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    signed = sign(tmp_path / "m.gguf", key=key, single_file_name="basename")
    assert [entry.name for entry in signed.manifest.entries] == ["m.gguf"]
    assert holds(tmp_path / "m.gguf", signed.signature)
    with pytest.raises(UsageError):
        sign(tmp_path / "m.gguf", key=key, single_file_name="other", force=True)


def test_claims_added_later_do_not_disturb(model: Path, key: Path) -> None:
    signature = sign(model, key=key).signature
    (model / "claims.jsonl").write_text("{}\n")
    assert holds(model, signature)


def test_payload_depends_on_the_model_alone(model: Path, key: Path, tmp_path: Path) -> None:
    one = sign(model, key=key).bundle
    other = sign(write_model(tmp_path / "again" / "model"), key=key).bundle
    assert one.envelope.payload == other.envelope.payload


def test_encrypted_key_signs_with_its_passphrase(model: Path, tmp_path: Path) -> None:
    private, _ = write_key(tmp_path, "locked", b"open sesame")
    assert sign(model, key=private, passphrase="open sesame").bundle.key_hint
    with pytest.raises(SigningError, match="passphrase"):
        sign(model, key=private, passphrase="wrong", force=True)


def test_existing_signature_is_kept(model: Path, key: Path) -> None:
    before = sign(model, key=key).signature.read_bytes()
    with pytest.raises(UsageError, match="--force"):
        sign(model, key=key)
    assert (model / "model.sig").read_bytes() == before
    sign(model, key=key, force=True)
    assert holds(model, model / "model.sig")


@pytest.mark.parametrize("content", [b"", b"\n", b'{"mediaType": "cut off', b'{"dsseEnvelope":{"payload":"'])
def test_force_replaces_what_is_left_of_a_signature(model: Path, key: Path, content: bytes) -> None:
    place = model / "release.sig"
    place.write_bytes(content)
    made = sign(model, key=key, signature=place, force=True)
    assert Bundle.parse(place.read_bytes()).digest() == made.bundle.digest()


@pytest.mark.parametrize("name", ["a.txt", "config.json", "w.bin"])
def test_force_replaces_no_file_of_the_model(model: Path, key: Path, name: str) -> None:
    before = (model / name).read_bytes()
    with pytest.raises(UsageError, match="is no signature"):
        sign(model, key=key, signature=model / name, force=True)
    assert (model / name).read_bytes() == before


@pytest.mark.parametrize("name", ["__init__.py", "a/b/empty"])
def test_force_replaces_no_empty_file_of_the_model(model: Path, key: Path, name: str) -> None:
    (model / name).parent.mkdir(parents=True, exist_ok=True)
    (model / name).touch()
    with pytest.raises(UsageError, match="is no signature"):
        sign(model, key=key, signature=model / name, force=True)
    assert (model / name).read_bytes() == b""


def test_force_replaces_an_empty_file_outside_of_the_model(model: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "made-by-mktemp").touch()
    made = sign(model, key=key, signature=tmp_path / "made-by-mktemp", force=True)
    assert Bundle.parse(made.signature.read_bytes()).digest() == made.bundle.digest()


def test_pipe_is_no_model(key: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="pipe: neither a regular file nor a directory"):
        sign(tmp_path / "pipe", key=key)


def test_other_file_is_not_overwritten(model: Path, key: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        sign(model, key=key, signature=model / "config.json")
    assert (model / "config.json").read_bytes() == FILES["config.json"]


def test_nothing_to_sign_with_says_what_to_give(model: Path) -> None:
    with pytest.raises(UsageError, match="modelsign keys generate"):
        sign(model)


def test_missing_model_and_missing_place_are_named(model: Path, key: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        sign(tmp_path / "nowhere", key=key)
    with pytest.raises(SourceError, match="no such directory"):
        sign(model, key=key, signature=tmp_path / "no" / "x.sig")


def test_failed_signing_leaves_nothing(model: Path, key: Path) -> None:
    (model / "link").symlink_to("a.txt")
    with pytest.raises(NotRegular):
        sign(model, key=key)
    assert sorted(path.name for path in model.iterdir()) == ["a", "a.txt", "config.json", "link", "w.bin"]


def test_signature_inside_the_model_leaves_itself_out(model: Path, key: Path) -> None:
    signature = sign(model, key=key, signature=model / "release.sig").signature
    assert "release.sig" in sign(model, key=key, signature=model / "other.sig").manifest.ignored
    assert holds(model, signature, ignored=("release.sig", "other.sig"))


def test_several_signatures_do_not_disturb_each_other(model: Path, key: Path) -> None:
    sign(model, key=key)
    second = sign(model, key=key, signature=model / "second.sig")
    third = sign(model, key=key, signature=model / "third.sig")
    assert third.notes == ("second.sig: another signature of this model, left out",)
    assert second.manifest.entries == third.manifest.entries
    assert holds(model, model / "model.sig", ignored=("second.sig", "third.sig"))


def test_file_that_only_looks_like_a_signature_is_signed(model: Path, key: Path) -> None:
    (model / "evil.sig").write_bytes(b"import os")
    assert "evil.sig" in sign(model, key=key).manifest.files()


def test_ignored_patterns_are_recorded_as_names(model: Path, key: Path) -> None:
    signed = sign(model, key=key, ignore=["*.txt", "a"])
    assert {"a", "a.txt"} <= set(signed.manifest.ignored)
    assert signed.manifest.unsigned == ("a.txt", "a/b.bin")
    write_model(model, {"b.txt": b""})
    assert not holds(model, signed.signature, ignored=("a", "a.txt"))


def test_ignored_path_outside_is_refused_wherever_the_shell_stands(
    model: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    assert "a.txt" not in sign(model, key=key, ignore=["a.txt"]).manifest.files()
    with pytest.raises(UsageError, match="relative to the model's root"):
        sign(model, key=key, ignore=[str(model / "a.txt")], force=True)


def test_names_that_collide_elsewhere_are_noted(model: Path, key: Path) -> None:
    write_model(model, {"A.TXT": b""})
    assert sign(model, key=key).notes == (
        "'A.TXT' and 'a.txt' are one name on systems that fold case or normalise Unicode",
    )


def test_leftover_of_a_killed_run_is_swept_and_not_signed(model: Path, key: Path) -> None:
    (model / ".modelsign-tmp-0123456789abcdef").write_bytes(b"half")
    assert sign(model, key=key).manifest.files() == tuple(sorted(FILES))
    assert not list(model.glob(".modelsign-tmp-*"))


@pytest.mark.parametrize("delay", [0.0, 0.12, 0.16, 0.2, 0.24, 0.3, 0.4])
def test_killed_run_leaves_the_old_signature_or_the_new_one(model: Path, key: Path, delay: float) -> None:
    """SIGKILL at any moment: whichever signature is there is whole, and the next run clears what lies beside."""
    old = sign(model, key=key).signature.read_bytes()
    command = [sys.executable, "-c", KILLED, str(model), str(key)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = (model / "model.sig").read_bytes()
    assert found == old or json.loads(found)
    assert holds(model, model / "model.sig", ignored=tuple(path.name for path in model.glob(".modelsign-tmp-*")))
    sign(model, key=key, force=True)
    assert not list(model.glob(".modelsign-tmp-*"))


KILLED = """
import sys
from modelsign.signing import sign
while True:
    sign(sys.argv[1], key=sys.argv[2], force=True)
"""


def test_signing_with_a_key_imports_nothing_of_sigstore(model: Path, key: Path) -> None:
    program = (
        "import sys, modelsign; modelsign.sign(sys.argv[1], key=sys.argv[2]);"
        "heavy = {'sigstore', 'huggingface_hub', 'numpy', 'requests', 'rich', 'pydantic', 'tuf'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(model), str(key)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_was_signed_is_what_was_measured(model: Path, key: Path) -> None:
    signed = sign(model, key=key)
    assert signed.manifest.root == measure(model).root


# Signing again without reading everything again


@pytest.fixture
def settled(model: Path, key: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A model that was signed, and whose files had been written long before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("modelsign.signing._WORTH_CACHING", 0)
    monkeypatch.setattr("modelsign.hash_cache._RACY_NS", -(10**12))
    sign(model, key=key)
    return model


def read_again(model: Path, key: Path, **options: object) -> tuple[list[int], int]:
    read: list[int] = []
    signed = sign(model, key=key, reuse=model / "model.sig", force=True, progress=read.append, **options)  # type: ignore[arg-type]  # options pass through
    assert holds(model, signed.signature)
    return read, signed.reused


def test_unchanged_files_are_not_read_again(settled: Path, key: Path) -> None:
    assert read_again(settled, key) == ([], len(FILES))


def test_changed_file_is_read_again(settled: Path, key: Path) -> None:
    (settled / "a.txt").write_bytes(b"new!")
    assert read_again(settled, key) == ([4], len(FILES) - 1)


def test_file_that_was_replaced_by_one_of_the_same_times_is_read_again(settled: Path, key: Path) -> None:
    before = (settled / "a.txt").stat()
    (settled / "new").write_bytes(b"EVIL")
    os.utime(settled / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (settled / "new").replace(settled / "a.txt")
    assert read_again(settled, key) == ([4], len(FILES) - 1)


def test_digest_that_the_earlier_signature_does_not_list_counts_for_nothing(settled: Path, key: Path) -> None:
    (cache,) = (settled.parent / "cache").rglob("*.json")
    document = json.loads(cache.read_bytes())
    state, _, _ = document["files"]["a.txt"].partition(":")
    document["files"]["a.txt"] = f"{state}:{'00' * 32}"
    cache.write_text(json.dumps(document))
    assert read_again(settled, key) == ([4], len(FILES) - 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema": "modelsign.hash-cache/v1", "files": {"a.txt": [1]}}',
        b'{"schema": "modelsign.hash-cache/v2", "files": {"a.txt": [1]}}',
        b'{"schema": "modelsign.hash-cache/v2", "files": {"a.txt": "00:11"}}',
        b'{"schema": "modelsign.hash-cache/v2", "files": {"a.txt": "x"}}',
    ],
)
def test_broken_cache_is_no_cache(settled: Path, key: Path, content: bytes) -> None:
    (cache,) = (settled.parent / "cache").rglob("*.json")
    cache.write_bytes(content)
    assert read_again(settled, key)[1] == 0


def test_file_written_just_before_is_read_again(settled: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsign.hash_cache._RACY_NS", 10**12)
    assert read_again(settled, key)[1] == 0


def test_signature_of_somebody_else_cannot_be_reused(settled: Path, tmp_path: Path) -> None:
    other, _ = write_key(tmp_path, "other")
    with pytest.raises(UsageError, match="cannot be reused"):
        sign(settled, key=other, reuse=settled / "model.sig", force=True)


def test_signature_made_otherwise_cannot_be_reused(settled: Path, key: Path) -> None:
    with pytest.raises(UsageError, match="another hash or method"):
        sign(settled, key=key, reuse=settled / "model.sig", hash_type="blake2b", force=True)


def test_missing_earlier_signature_is_named(model: Path, key: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.sig"):
        sign(model, key=key, reuse=model / "none.sig")


@pytest.mark.parametrize("target", ["hf://org/model", "https://acme.example/model", "s3://bucket/model"])
def test_address_is_no_path(tmp_path: Path, target: str) -> None:
    private, public = write_key(tmp_path)
    for call in (
        lambda: sign(target, key=private),
        lambda: verify(target, keys=[public]),
        lambda: attest(target, key=private, scan=True),
    ):
        with pytest.raises(UsageError, match=rf"^{target}: the scheme [a-z0-9]+:// is not known"):
            call()


@pytest.mark.parametrize("path", ["a" * 300, "/".join(["a" * 200] * 30), "a\0b"])
def test_path_that_nothing_can_lie_at_is_a_source_error(tmp_path: Path, path: str) -> None:
    private, public = write_key(tmp_path)
    model = write_model(tmp_path / "model")
    calls = (
        lambda: sign(tmp_path / path, key=private),
        lambda: sign(model, key=private, signature=tmp_path / path),
        lambda: verify(tmp_path / path, keys=[public]),
        lambda: verify(model, keys=[public], signature=tmp_path / path),
        lambda: verify(model, keys=[public], claims=tmp_path / path),
        lambda: verify(model, keys=[public], policy=tmp_path / path),
        lambda: attest(tmp_path / path, key=private, scan=True),
        lambda: attest(model, key=private, scan=True, claims=tmp_path / path),
        lambda: attest(model, key=private, scan=True, signature=tmp_path / path),
    )
    for call in calls:
        with pytest.raises(SourceError):
            call()
