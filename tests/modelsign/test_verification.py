import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from attestations import manifest
from attestations.bundle import Bundle
from attestations.errors import ManifestError
from attestations.predicates.model_scan import ModelScan
from attestations.signers.key import KeySigner
from attestations.statement import Statement, Subject
from attestations.uris import OMS_DIGESTS_V0_1
from modelsign import regular, scanning
from modelsign.attesting import attest
from modelsign.claims import store
from modelsign.claims.verification_summary import summary_bundle
from modelsign.cli.exits import Exit, exit_of_decision
from modelsign.errors import PolicyError, SourceError, UsageError
from modelsign.policy import content, observed
from modelsign.policy.decision import Code, Decision
from modelsign.signing import sign
from modelsign.verification import verify
from tests.builders.models import CONFIG, HOSTILE, model, released, rewrite, rewrite_payload
from tests.builders.signatures import write_key, write_model
from tests.builders.statements import Says

SCANNED = """
schema = 1
[trust]
keys = { release = "release.pub" }
[identities]
release = { key = "release" }
[require.signature]
by = ["release"]
[require.scan]
by = ["release"]
"""


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path, Path]:
    return released(tmp_path)


def denied(decision: Decision) -> list[Code]:
    return [reason.code for reason in decision.reasons if reason.denies]


def policy(directory: Path, text: str = SCANNED) -> Path:
    path = directory / "policy.toml"
    path.write_text(text)
    return path


def test_a_signed_and_scanned_model_is_allowed_and_covered(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    decision = verify(place, keys=[public])

    assert decision.allowed
    assert decision.covered is not None
    assert (decision.covered.files, decision.covered.unsigned, decision.covered.unchecked) == (3, (), ())
    assert decision.covered.size == sum(
        path.stat().st_size
        for path in place.rglob("*")
        if path.is_file() and path.name not in {"model.sig", "claims.jsonl"}
    )
    assert [signer.name for signer in decision.signers] == ["release.pub"]
    assert [claim.summary for claim in decision.claims] == ["scan PASSED, complete, rule set 2026.11.0, 3 files"]


def test_nothing_is_trusted_by_default(signed: tuple[Path, Path, Path]) -> None:
    with pytest.raises(UsageError, match="whom do you trust"):
        verify(signed[0])


@pytest.mark.parametrize(
    "given",
    [
        {"identity": "a@example.com"},
        {"issuer": "https://issuer.example"},
        {"identity": "a", "identity_regexp": "a", "issuer": "x"},
        {"identity_regexp": "(", "issuer": "x"},
        {"identity": "", "issuer": "x"},
        {"certificate_claims": {"repository_id": "1"}},
    ],
)
def test_half_of_a_trust_is_a_usage_error(signed: tuple[Path, Path, Path], given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        verify(signed[0], **given)


def test_a_private_key_is_no_key_to_trust(signed: tuple[Path, Path, Path]) -> None:
    with pytest.raises(UsageError, match="public key"):
        verify(signed[0], keys=[signed[1]])


def _append_byte(place: Path) -> None:
    with (place / "weights" / "model.safetensors").open("ab") as file:
        file.write(b"\0")


def _flip_byte(place: Path) -> None:
    path = place / "weights" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _link_in_place(place: Path) -> None:
    (place / "config.json").unlink()
    (place / "config.json").symlink_to("README.md")


def _bad_signature(document: Any) -> None:
    signature = document["dsseEnvelope"]["signatures"][0]
    signature["sig"] = signature["sig"][:-8] + "AAAAAAA="


TAMPERINGS: dict[str, tuple[Callable[[Path], object], Exit]] = {
    "byte-appended": (_append_byte, Exit.CONTENT_DIFFERS),
    "byte-flipped": (_flip_byte, Exit.CONTENT_DIFFERS),
    "file-removed": (lambda place: (place / "config.json").unlink(), Exit.CONTENT_DIFFERS),
    "file-renamed": (lambda place: (place / "config.json").rename(place / "configs.json"), Exit.CONTENT_DIFFERS),
    "file-added": (lambda place: (place / "extra.bin").write_bytes(b"x"), Exit.CONTENT_DIFFERS),
    "file-added-below": (lambda place: (place / "weights" / "x.py").write_bytes(b"x"), Exit.CONTENT_DIFFERS),
    "signature-added-below": (lambda place: (place / "weights/model.sig").write_bytes(b"x"), Exit.CONTENT_DIFFERS),
    "link-added": (lambda place: (place / "link").symlink_to("config.json"), Exit.CONTENT_DIFFERS),
    "file-became-a-link": (
        _link_in_place,
        Exit.CONTENT_DIFFERS,
    ),
    "signature-removed": (lambda place: (place / "model.sig").unlink(), Exit.NO_SIGNATURE),
    "signature-emptied": (lambda place: (place / "model.sig").write_bytes(b""), Exit.SIGNATURE_INVALID),
    "signature-no-json": (lambda place: (place / "model.sig").write_bytes(b"\x80\x04."), Exit.SIGNATURE_INVALID),
    "signature-changed": (lambda place: rewrite(place / "model.sig", _bad_signature), Exit.SIGNATURE_INVALID),
    "name-in-payload-changed": (
        lambda place: rewrite_payload(
            place / "model.sig", lambda payload: payload["predicate"]["resources"][0].update(name="other")
        ),
        Exit.SIGNATURE_INVALID,
    ),
    "payload-type-changed": (
        lambda place: rewrite(
            place / "model.sig", lambda document: document["dsseEnvelope"].update(payloadType="text/plain")
        ),
        Exit.UNSUPPORTED,
    ),
    "bundle-of-the-future": (
        lambda place: rewrite(
            place / "model.sig",
            lambda document: document.update(mediaType="application/vnd.dev.sigstore.bundle.v0.9+json"),
        ),
        Exit.UNSUPPORTED,
    ),
    "no-signature-in-envelope": (
        lambda place: rewrite(place / "model.sig", lambda document: document["dsseEnvelope"].update(signatures=[])),
        Exit.SIGNATURE_INVALID,
    ),
    "claim-as-signature": (
        lambda place: (place / "model.sig").write_bytes((place / "claims.jsonl").read_bytes()),
        Exit.UNSUPPORTED,
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_model_is_denied_with_its_code(signed: tuple[Path, Path, Path], name: str) -> None:
    place, _, public = signed
    tamper, code = TAMPERINGS[name]
    tamper(place)
    decision = verify(place, keys=[public])

    assert not decision.allowed
    assert exit_of_decision(decision) is code


def test_another_key_is_not_trusted(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, stranger = write_key(tmp_path, "stranger")
    decision = verify(signed[0], keys=[stranger])

    assert denied(decision) == [Code.SIGNER_TRUSTED]
    assert exit_of_decision(decision) is Exit.NOT_TRUSTED


def test_one_of_several_keys_is_enough(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, new = write_key(tmp_path, "new")

    assert verify(signed[0], keys=[new, signed[2]]).allowed


def test_every_difference_is_named_when_asked(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    (place / "config.json").unlink()
    (place / "extra.bin").write_bytes(b"x")
    _flip_byte(place)
    decision = verify(place, keys=[public], every=True)

    named = {(reason.code, reason.subject) for reason in decision.reasons if reason.denies}
    assert named == {
        (Code.FILE_MISSING, "config.json"),
        (Code.FILE_UNSIGNED, "extra.bin"),
        (Code.FILE_CHANGED, "weights/model.safetensors"),
    }


def test_a_missing_file_ends_the_run_before_anything_is_hashed(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    (place / "config.json").unlink()
    read: list[int] = []
    decision = verify(place, keys=[public], progress=read.append)

    assert not read
    assert any("--all" in reason.message for reason in decision.reasons)


def test_nothing_is_hashed_for_an_untrusted_signer(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, stranger = write_key(tmp_path, "stranger")
    read: list[int] = []
    verify(signed[0], keys=[stranger], progress=read.append)

    assert not read


def test_a_change_during_the_verification_denies(
    signed: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _, public = signed
    honest = observed.scan_here

    def slow(*arguments: Any, **options: Any) -> Any:
        (place / "config.json").write_bytes(CONFIG + b" ")
        return honest(*arguments, **options)

    monkeypatch.setattr(observed, "scan_here", slow)
    decision = verify(place, keys=[public])

    assert denied(decision) == [Code.CONTENT_STABLE]
    assert exit_of_decision(decision) is Exit.CONTENT_DIFFERS


def test_files_the_signer_left_out_must_be_left_out_by_the_verifier_too(tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    place = model(tmp_path / "model")
    sign(place, key=private, ignore=["README.md"])

    decision = verify(place, keys=[public])
    assert denied(decision) == [Code.FILE_UNSIGNED, Code.CONTENT]
    assert "--ignore README.md" in decision.reasons[-2].message
    allowed = verify(place, keys=[public], ignore=["README.md"])
    assert allowed.allowed
    assert allowed.covered is not None
    assert allowed.covered.ignored == ("README.md",)


@pytest.mark.parametrize("ignore", ["sub", "sub/b.txt"])
def test_a_signed_file_cannot_be_ignored_and_that_is_said(tmp_path: Path, ignore: str) -> None:
    private, public = write_key(tmp_path)
    place = write_model(tmp_path / "model", {"a.txt": b"a", "sub/b.txt": b"b"})
    sign(place, key=private)
    (place / "a.txt").unlink()
    decision = verify(place, keys=[public], ignore=[ignore], every=True)
    assert exit_of_decision(decision) is Exit.CONTENT_DIFFERS
    said = [reason.message for reason in decision.reasons if reason.code is Code.FILE_MISSING]
    assert said[0] == "a.txt was signed and is not here"
    assert said[1].startswith("sub/b.txt was signed, so it cannot be ignored")


def test_what_git_keeps_is_ignored_and_named(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    (place / ".git").mkdir()
    (place / ".git" / "HEAD").write_bytes(b"ref: refs/heads/main\n")
    decision = verify(place, keys=[public])

    assert decision.allowed
    assert decision.covered is not None
    assert decision.covered.ignored == (".git/HEAD",)


def test_a_second_signature_of_the_same_model_disturbs_nobody(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place, _, public = signed
    other, other_public = write_key(tmp_path, "other")
    sign(place, key=other, signature=place / "other.sig")

    assert verify(place, keys=[public]).allowed
    assert verify(place, keys=[other_public], signature=place / "other.sig").allowed


def test_a_file_that_is_only_called_a_signature_is_a_file(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    (place / "other.sig").write_bytes(b"import os")

    assert Code.FILE_UNSIGNED in denied(verify(place, keys=[public]))


def test_a_file_called_a_signature_costs_no_more_to_read_than_one_of_this_model(
    signed: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _, public = signed
    asked = []

    def watched(path: Path, limit: int, **options: Any) -> bytes:
        asked.append(limit)
        return regular.read_regular(path, limit, **options)

    monkeypatch.setattr(content, "read_regular", watched)
    with (place / "huge.sig").open("wb") as file:
        file.truncate(1 << 30)
    assert denied(verify(place, keys=[public], scan=False))[0] is Code.FILE_UNSIGNED
    assert max(asked) < 4 << 20


def test_unsigned_files_can_be_let_pass_and_are_named_and_scanned(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    (place / "notes.md").write_bytes(b"hello")
    decision = verify(place, keys=[public], allow_unsigned=True)

    assert decision.allowed
    assert decision.covered is not None
    assert decision.covered.unsigned == ("notes.md",)
    (place / "evil.pkl").write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    assert not verify(place, keys=[public], allow_unsigned=True).allowed


def test_a_part_can_be_verified_and_the_rest_is_named(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    (place / "README.md").write_bytes(b"changed")
    decision = verify(place, keys=[public], partial=["*.safetensors", "config.json"])

    assert decision.allowed
    assert decision.covered is not None
    assert (decision.covered.files, decision.covered.unchecked) == (2, ("README.md",))
    assert not verify(place, keys=[public], partial=["README.md"]).allowed


def test_what_nobody_signed_beside_a_part_is_named_and_no_whole_model(
    signed: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    place, _, public = signed
    (place / "modeling_evil.py").write_bytes(b"import os\n")
    every = ["*.safetensors", "*.json", "*.md"]
    decision = verify(place, keys=[public], partial=every)

    assert decision.allowed
    assert decision.covered is not None
    assert decision.covered.unsigned == decision.covered.unchecked == ("modeling_evil.py",)
    assert any("1 files that nobody signed lie beside" in reason.message for reason in decision.reasons)
    gate = KeySigner.load(write_key(tmp_path, "gate")[0], None)
    trusted = verify(place, policy=policy(tmp_path), partial=every)
    assert trusted.allowed
    with pytest.raises(UsageError, match="whole model"):
        summary_bundle(trusted, gate, resource="urn:x", verified=datetime(2026, 11, 23, tzinfo=UTC))


@pytest.mark.parametrize("options", [{"hash_type": "blake2b"}, {"method": "shards", "shard_size": 4096}])
def test_claims_hold_for_models_signed_by_another_hash_or_in_shards(tmp_path: Path, options: dict[str, Any]) -> None:
    private, _ = write_key(tmp_path)
    place = model(tmp_path / "model")
    sign(place, key=private, **options)
    attest(place, key=private, scan=True)

    assert verify(place, policy=policy(tmp_path)).allowed


def test_a_single_file_is_verified_with_the_files_beside_it(tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    place = model(tmp_path / "model") / "weights" / "model.safetensors"
    sign(place, key=private)
    attest(place, key=private, scan=True)

    assert (place.with_name("model.safetensors.sig").exists(), verify(place, keys=[public]).allowed) == (True, True)
    assert verify(place, policy=policy(tmp_path)).allowed
    place.write_bytes(place.read_bytes() + b"x")
    assert exit_of_decision(verify(place, keys=[public])) is Exit.CONTENT_DIFFERS


def test_the_local_scan_denies_what_somebody_signed(tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    place = model(tmp_path / "model")
    (place / "evil.pkl").write_bytes(b"cos\nsystem\n(S'echo hi'\ntR.")
    sign(place, key=private)
    decision = verify(place, keys=[public])

    assert Code.LOCAL_SCAN in denied(decision)
    assert any("evil.pkl" in reason.message and "system" in reason.message for reason in decision.reasons)
    assert exit_of_decision(decision) is Exit.DENIED
    assert verify(place, keys=[public], scan=False).allowed


def test_what_the_scan_cannot_read_is_incomplete_unless_let_pass(tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    place = model(tmp_path / "model")
    (place / "model.bin").write_bytes(bytes(range(1, 200)) * 3)
    sign(place, key=private)

    assert exit_of_decision(verify(place, keys=[public])) is Exit.INCOMPLETE
    assert verify(place, keys=[public], allow_incomplete=True).allowed


def test_a_policy_alone_is_enough_trust(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    decision = verify(signed[0], policy=policy(tmp_path))

    assert decision.allowed
    assert decision.signers[0].principals == ("release",)
    assert decision.policy is not None
    assert decision.policy.name == "policy"


def test_a_policy_and_a_key_must_both_be_satisfied(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, stranger = write_key(tmp_path, "stranger")
    decision = verify(signed[0], policy=policy(tmp_path), keys=[stranger])

    assert exit_of_decision(decision) is Exit.NOT_TRUSTED


@pytest.mark.parametrize("how", ["removed", "emptied", "cut", "of-another-model", "by-somebody-else", "changed"])
def test_a_required_claim_that_is_not_there_denies(signed: tuple[Path, Path, Path], tmp_path: Path, how: str) -> None:
    place, private, _ = signed
    claims = place / "claims.jsonl"
    if how == "removed":
        claims.unlink()
    elif how == "emptied":
        claims.write_bytes(b"")
    elif how == "cut":
        claims.write_bytes(claims.read_bytes()[:-40])
    elif how == "of-another-model":
        other = model(tmp_path / "other")
        (other / "config.json").write_bytes(b'{"model_type": "other"}')
        attest(other, key=private, scan=True)
        claims.write_bytes((other / "claims.jsonl").read_bytes())
    elif how == "by-somebody-else":
        claims.unlink()
        attest(place, key=write_key(tmp_path, "stranger")[0], scan=True)
    else:
        rewrite_payload(claims, lambda payload: payload["predicate"].update(result="PASSED", complete=True, more=1))
    decision = verify(place, policy=policy(tmp_path))

    assert denied(decision) == [Code.SCAN_ATTESTED]
    assert exit_of_decision(decision) is Exit.ATTESTATION_MISSING


def test_unknown_lines_of_a_claims_file_are_noted_and_harmless(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place, _, _ = signed
    claims = place / "claims.jsonl"
    claims.write_bytes(b'{"some": "thing"}\n\n\xff\n' + claims.read_bytes())
    decision = verify(place, policy=policy(tmp_path))

    assert decision.allowed
    assert decision.notes == ("2 lines of claims.jsonl are no bundles; they count for nothing",)


def test_an_expired_policy_denies_with_its_own_code(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    expiring = policy(tmp_path, SCANNED.replace("schema = 1", "schema = 1\nexpires = 2027-01-01"))

    assert verify(signed[0], policy=expiring, now=datetime(2027, 1, 1, 23, tzinfo=UTC)).allowed
    late = verify(signed[0], policy=expiring, now=datetime(2027, 1, 2, tzinfo=UTC))
    assert exit_of_decision(late) is Exit.TRUST_EXPIRED


def test_a_policy_limits_formats(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    gguf = policy(tmp_path, SCANNED + '[model]\nformats = ["gguf"]\n')
    decision = verify(signed[0], policy=gguf)

    assert [(reason.code, reason.subject) for reason in decision.reasons if reason.denies] == [
        (Code.FORMATS, "weights/model.safetensors")
    ]
    both = policy(tmp_path, SCANNED + '[model]\nformats = ["gguf", "safetensors"]\n')
    assert verify(signed[0], policy=both).allowed
    assert exit_of_decision(verify(signed[0], policy=both, scan=False)) is Exit.DENIED


def test_a_policy_may_let_one_file_be_unsigned(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place = signed[0]
    (place / "NOTES.md").write_bytes(b"x")
    assert exit_of_decision(verify(place, policy=policy(tmp_path))) is Exit.CONTENT_DIFFERS

    decision = verify(place, policy=policy(tmp_path, SCANNED + '[model]\nunsigned_files = ["NOTES.md"]\n'))
    assert decision.allowed


def test_a_file_that_may_be_unsigned_is_still_scanned(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place = signed[0]
    (place / "evil.pkl").write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    decision = verify(place, policy=policy(tmp_path, SCANNED + '[model]\nunsigned_files = ["evil.pkl"]\n'))

    assert denied(decision) == [Code.LOCAL_SCAN]


def test_a_policy_without_names_trusts_nobody(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no key and no identity"):
        verify(signed[0], policy=policy(tmp_path, "schema = 1"))
    assert verify(signed[0], policy=policy(tmp_path, "schema = 1\n[require.scan]"), keys=[signed[2]]).allowed


def test_a_key_of_a_policy_that_is_nobody_is_said_to_be_nobody(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    rules = policy(tmp_path, 'schema = 1\n[trust]\nkeys = { release = "release.pub" }')
    decision = verify(signed[0], policy=rules)
    assert denied(decision) == [Code.SIGNER_TRUSTED]
    (said,) = [reason.message for reason in decision.reasons if reason.denies]
    assert "no identity is it: [identities] NAME = { key = 'release' }" in said
    named = policy(tmp_path, rules.read_text() + "\n[identities]\nNAME = { key = 'release' }")
    assert verify(signed[0], policy=named).allowed


@pytest.mark.parametrize(
    "trust",
    [
        'keys = { release = "model/own.pub" }',
        'keys = { release = { file = "model/own.pub", not_after = 2030-01-01 } }',
        'keys = { release = "link.pub" }',
        'keys = { release = "release.pub" }\ntimestamps = ["model/own.pub"]',
        'keys = { release = "release.pub" }\ncertificates = { acme = "model/own.pub" }',
        'keys = { release = "release.pub" }\nsigstore = "model/own.pub"',
        'keys = { release = "release.pub" }\nsigstore = "https://tuf.example"\nsigstore_root = "model/own.pub"',
    ],
)
def test_a_model_brings_no_trust_of_a_policy(signed: tuple[Path, Path, Path], tmp_path: Path, trust: str) -> None:
    place, private, public = signed
    shutil.copy(public, place / "own.pub")
    (tmp_path / "link.pub").symlink_to(place / "own.pub")
    sign(place, key=private, force=True)
    rules = policy(tmp_path, f"schema = 1\n[trust]\n{trust}\n[identities]\nrelease = {{ key = 'release' }}")
    with pytest.raises(UsageError, match="lies inside the scanned target"):
        verify(place, policy=rules)


def test_limits_in_time_with_nothing_between_them_are_a_usage_error(signed: tuple[Path, Path, Path]) -> None:
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    for after, before in ((last, first), (first, first)):
        with pytest.raises(UsageError, match="turn them round"):
            verify(signed[0], keys=[signed[2]], signed_after=after, signed_before=before)


def test_identities_of_a_policy_need_an_instance_to_believe(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    nameless = 'schema = 1\n[identities]\nann = { issuer = "https://issuer.example", subject = "ann@acme.example" }'

    with pytest.raises(PolicyError, match="no Sigstore instance"):
        verify(signed[0], policy=policy(tmp_path, nameless))


def test_a_key_that_counts_for_some_time_needs_a_time(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    limited = SCANNED.replace('"release.pub"', '{ file = "release.pub", not_after = 2030-01-01 }')
    decision = verify(signed[0], policy=policy(tmp_path, limited))

    assert denied(decision) == [Code.SIGNER_TRUSTED]
    assert "timestamp" in decision.reasons[-1].message


def test_a_local_scan_agrees_with_the_signed_one(signed: tuple[Path, Path, Path]) -> None:
    decision = verify(signed[0], keys=[signed[2]])

    (reason,) = [reason for reason in decision.reasons if reason.code is Code.SCAN_AGREES]
    assert (reason.passed, "same digest" in reason.message) == (True, True)


def test_the_digest_of_a_scan_does_not_depend_on_what_the_directory_is_called(
    signed: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    renamed = signed[0].rename(tmp_path / "renamed")

    (reason,) = [reason for reason in verify(renamed, keys=[signed[2]]).reasons if reason.code is Code.SCAN_AGREES]
    assert "same digest" in reason.message


def test_a_scan_that_disagrees_is_told_and_does_not_deny(signed: tuple[Path, Path, Path]) -> None:
    place, private, public = signed
    signer = KeySigner.load(private, None)
    (line,) = store.read(place / "claims.jsonl")
    assert line.bundle is not None
    honest = Statement.parse(line.bundle.envelope.payload)
    scan = replace(ModelScan.parse(honest.predicate), report_sha256="00" * 32)
    lie = Statement.build(predicate_type=honest.predicate_type, subjects=honest.subjects, predicate=scan.to_predicate())
    store.append(place / "claims.jsonl", [signer.sign(lie)])
    decision = verify(place, keys=[public])

    assert decision.allowed
    assert [reason.passed for reason in decision.reasons if reason.code is Code.SCAN_AGREES] == [True, False]


def test_missing_targets_and_policies_are_source_errors(tmp_path: Path) -> None:
    _, public = write_key(tmp_path)
    with pytest.raises(SourceError, match="no such file"):
        verify(tmp_path / "nowhere", keys=[public])
    with pytest.raises(SourceError, match="policy"):
        verify(model(tmp_path / "model"), keys=[public], policy=tmp_path / "nowhere.toml")


def test_an_empty_model_is_refused(tmp_path: Path, signed: tuple[Path, Path, Path]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "model.sig").write_bytes((signed[0] / "model.sig").read_bytes())

    assert exit_of_decision(verify(empty, keys=[signed[2]])) is Exit.CONTENT_DIFFERS
    with pytest.raises(ManifestError):
        sign(empty, key=signed[1], force=True)


def test_the_key_path_imports_nothing_of_sigstore(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    script = (
        "import sys, json; from modelsign.cli.main import invoke; "
        f"code = invoke(['verify', {str(place)!r}, '--key', {str(public)!r}, '-q']); "
        "print(json.dumps([code, sorted(name for name in sys.modules if name.split('.')[0] in "
        "('sigstore', 'sigstore_models', 'huggingface_hub', 'numpy', 'pydantic', 'requests', 'tuf'))]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == [0, []]


@pytest.mark.parametrize("scan", [False, True])
def test_what_is_written_once_it_was_hashed_denies(
    signed: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, scan: bool
) -> None:
    place, _, public = signed
    honest = manifest.measure_against

    def early(*arguments: Any, **options: Any) -> Any:
        result = honest(*arguments, **options)
        (place / "config.json").touch()
        return result

    monkeypatch.setattr(content, "measure_against", early)

    assert denied(verify(place, keys=[public], scan=scan)) == [Code.CONTENT_STABLE]


def digests(path: Path, place: Path) -> Path:
    """Write what `sha256sum` prints about a model."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  ./{file.relative_to(place).as_posix()}\n"
        for file in sorted(place.rglob("*"))
        if file.is_file()
    ]
    path.write_text("".join(lines))
    return path


def test_digests_claimed_by_others_are_labelled_and_incomplete(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place, _, public = signed
    claimed = digests(tmp_path / "SHA256SUMS", place)
    elsewhere = tmp_path / "elsewhere" / "model"

    decision = verify(elsewhere, keys=[public], signature=place / "model.sig", claimed_digests=claimed)
    assert denied(decision) == [Code.DIGESTS_MEASURED]
    assert exit_of_decision(decision) is Exit.INCOMPLETE
    assert any("--accept-claimed-digests" in reason.message for reason in decision.reasons)
    accepted = verify(place, keys=[public], claimed_digests=claimed, accept_claimed_digests=True)
    assert accepted.allowed
    assert not any("--accept-claimed-digests" in reason.message for reason in accepted.reasons)
    assert accepted.covered is not None
    assert (accepted.covered.claimed, accepted.scan) == (True, None)


@pytest.mark.parametrize("how", ["changed", "missing", "extra"])
def test_claimed_digests_that_differ_deny(signed: tuple[Path, Path, Path], tmp_path: Path, how: str) -> None:
    place, _, public = signed
    claimed = digests(tmp_path / "SHA256SUMS", place)
    lines = claimed.read_text().splitlines(keepends=True)
    match how:
        case "changed":
            lines = ["0" * 64 + line[64:] if "config" in line else line for line in lines]
        case "missing":
            lines = [line for line in lines if "config" not in line]
        case _:
            lines.append("0" * 64 + "  new.bin\n")
    claimed.write_text("".join(lines))
    decision = verify(place, keys=[public], claimed_digests=claimed, accept_claimed_digests=True)

    assert exit_of_decision(decision) is Exit.CONTENT_DIFFERS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no digest",
        "{}",
        '{"schema": "modelsign.manifest/v1"}',
        "0" * 64 + "  ../x\n",
        ("0" * 64 + "  a\n") * 2,
        "\xff",
    ],
)
def test_claimed_digests_that_are_none_are_refused(signed: tuple[Path, Path, Path], tmp_path: Path, text: str) -> None:
    path = tmp_path / "digests"
    path.write_bytes(text.encode("latin-1"))
    if not text:
        decision = verify(signed[0], keys=[signed[2]], claimed_digests=path, accept_claimed_digests=True)
        assert exit_of_decision(decision) is Exit.CONTENT_DIFFERS
        return
    with pytest.raises(UsageError):
        verify(signed[0], keys=[signed[2]], claimed_digests=path)


def test_a_part_that_has_no_file_is_refused(signed: tuple[Path, Path, Path]) -> None:
    with pytest.raises(UsageError, match="nothing would be verified"):
        verify(signed[0], keys=[signed[2]], partial=["*.gguf"])


def test_a_limit_in_time_needs_a_time_that_is_not_the_signers(signed: tuple[Path, Path, Path]) -> None:
    decision = verify(signed[0], keys=[signed[2]], signed_after=datetime(2020, 1, 1, tzinfo=UTC))

    assert denied(decision) == [Code.SIGNER_TRUSTED]
    assert "timestamp" in decision.reasons[-1].message


@pytest.mark.parametrize("name", ["model.sig", "claims.jsonl"])
def test_a_pipe_in_place_of_a_file_does_not_hang_the_verification(signed: tuple[Path, Path, Path], name: str) -> None:
    place, _, public = signed
    (place / name).unlink()
    os.mkfifo(place / name)

    with pytest.raises(SourceError, match="not a regular file"):
        verify(place, keys=[public])


def test_a_pipe_that_is_called_a_signature_is_no_file_of_a_model(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    os.mkfifo(place / "other.sig")

    assert denied(verify(place, keys=[public])) == [Code.CONTENT]


def test_whom_only_the_caller_trusts_has_no_name_in_the_policy(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    ended = policy(tmp_path, SCANNED.replace('"release.pub"', '{ file = "release.pub", not_after = 2020-01-01 }'))
    decision = verify(signed[0], keys=[signed[2]], policy=ended)

    assert [signer.principals for signer in decision.signers] == [()]
    assert set(denied(decision)) == {Code.SIGNER_TRUSTED, Code.SCAN_ATTESTED}


def test_a_keyless_name_of_another_instance_is_no_name_of_the_policy(
    signed: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    named = SCANNED + '[identities.ci]\nissuer = "https://i.example"\nsubject = "ci@i.example"\n'
    named = named.replace('by = ["release"]', 'by = ["ci"]').replace("[trust]", '[trust]\nsigstore = "staging"')
    elsewhere = Says(identity="ci@i.example", issuer="https://i.example", time=None)
    decision = verify(signed[0], verifiers=[elsewhere], policy=policy(tmp_path, named), offline=True)

    assert Code.SIGNER_TRUSTED in denied(decision)


def test_a_file_the_scanner_does_not_come_across_is_not_clean(
    signed: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _, public = signed
    honest = scanning.scan

    def blind(*arguments: Any, **options: Any) -> Any:
        report = honest(*arguments, **options)
        return replace(report, files=tuple(file for file in report.files if file.path != "config.json"))

    monkeypatch.setattr(observed, "scan", blind)
    decision = verify(place, keys=[public])

    assert denied(decision) == [Code.LOCAL_SCAN_COMPLETE]
    assert "config.json" in decision.reasons[-2].message


def test_a_second_signer_in_the_claims_meets_a_threshold(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place, _, _ = signed
    second, _ = write_key(tmp_path, "second")
    both = """
schema = 1
[trust]
keys = { release = "release.pub", second = "second.pub" }
[identities]
signers = { any = [{ key = "release" }, { key = "second" }] }
[require.signature]
by = ["signers"]
threshold = 2
"""
    assert denied(verify(place, policy=policy(tmp_path, both))) == [Code.SIGNER_THRESHOLD]

    made = sign(place, key=second, signature=tmp_path / "second.sig")
    assert verify(place, policy=policy(tmp_path, both), cosignatures=[made.signature]).allowed
    own = [place / "model.sig"] * 2
    assert denied(verify(place, policy=policy(tmp_path, both), cosignatures=own)) == [Code.SIGNER_THRESHOLD]
    inside = sign(place, key=second, signature=place / "second.sig")
    assert verify(place, policy=policy(tmp_path, both), cosignatures=[inside.signature]).allowed
    inside.signature.unlink()

    with (place / "claims.jsonl").open("ab") as claims:
        claims.write(made.signature.read_bytes())
    assert verify(place, policy=policy(tmp_path, both)).allowed
    store.append(place / "claims.jsonl", [made.bundle])
    (place / "config.json").write_bytes(CONFIG + b" ")
    assert exit_of_decision(verify(place, policy=policy(tmp_path, both))) is Exit.CONTENT_DIFFERS


LOW = """
schema = 1
[trust]
keys = { release = "release.pub", low = "low.pub" }
[identities]
release = { key = "release" }
low = { key = "low" }
"""


def test_a_signature_over_more_files_does_not_bless_the_rest(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place, _, _ = signed
    low, _ = write_key(tmp_path, "low")
    by_release = Bundle.parse((place / "model.sig").read_bytes())
    (place / "config.json").unlink()
    (place / "claims.jsonl").unlink()
    sign(place, key=low, force=True)
    store.append(place / "claims.jsonl", [by_release])

    wanted = policy(tmp_path, LOW + '[require.signature]\nby = ["release"]')
    assert denied(verify(place, policy=wanted)) == [Code.SIGNER_TRUSTED]
    both = policy(tmp_path, LOW + '[require.signature]\nby = ["release", "low"]\nthreshold = 2')
    assert denied(verify(place, policy=both)) == [Code.SIGNER_THRESHOLD]


@pytest.mark.parametrize("content", [None, b"", b"hello", b"{}"])
def test_a_further_signature_that_cannot_be_read_is_an_error(
    signed: tuple[Path, Path, Path], tmp_path: Path, content: bytes | None
) -> None:
    place, _, public = signed
    if content is not None:
        (tmp_path / "second.sig").write_bytes(content)
    with pytest.raises(SourceError, match=r"second\.sig"):
        verify(place, keys=[public], cosignatures=[tmp_path / "second.sig"])


def test_an_old_statement_in_the_claims_is_no_second_signature(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place, _, _ = signed
    low, _ = write_key(tmp_path, "low")
    subjects = [Subject(name=entry.name, digests=(entry.digest,)) for entry in manifest.measure(place).entries]
    old = Statement.build(predicate_type=OMS_DIGESTS_V0_1, subjects=subjects, predicate={})
    store.append(place / "claims.jsonl", [KeySigner.load(low, None).sign(old)])

    both = policy(tmp_path, LOW + '[require.signature]\nby = ["release", "low"]\nthreshold = 2')
    assert denied(verify(place, policy=both)) == [Code.SIGNER_THRESHOLD]


@pytest.mark.parametrize("name", ["README.md", "claims.jsonl", "model.sig"])
def test_a_directory_is_not_let_pass_under_the_name_of_a_file(
    signed: tuple[Path, Path, Path], tmp_path: Path, name: str
) -> None:
    place, private, _ = signed
    write_key(tmp_path, "low")
    (place / "README.md").unlink()
    sign(place, key=private, force=True)
    (place / "model.sig").rename(tmp_path / "model.sig")
    (place / "claims.jsonl").rename(tmp_path / "claims.jsonl")
    (place / name).mkdir()
    (place / name / "pytorch_model.bin").write_bytes(HOSTILE)

    rules = policy(tmp_path, LOW + '[model]\nunsigned_files = ["README.md"]')
    decision = verify(place, policy=rules, signature=tmp_path / "model.sig", claims=tmp_path / "claims.jsonl")
    assert denied(decision) == [Code.FILE_UNSIGNED]


def test_a_signed_file_that_may_change_may_change(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place, _, _ = signed
    write_key(tmp_path, "low")
    rules = policy(tmp_path, LOW + '[model]\nunsigned_files = ["README.md"]')
    assert verify(place, policy=rules).allowed
    (place / "README.md").write_bytes(b"# Another text\n")
    assert verify(place, policy=rules).allowed
    (place / "config.json").write_bytes(CONFIG + b" ")
    assert denied(verify(place, policy=rules))[0] is Code.FILE_CHANGED


def test_a_policy_that_lets_every_file_change_verifies_nothing(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    place, _, _ = signed
    write_key(tmp_path, "low")
    names = '["README.md", "config.json", "weights/model.safetensors"]'
    rules = policy(tmp_path, LOW + f"[model]\nunsigned_files = {names}")
    assert denied(verify(place, policy=rules)) == [Code.CONTENT]


@pytest.mark.parametrize("name", ["/", "no\0path", "none.jsonl"])
def test_what_is_no_file_is_no_claims_file(signed: tuple[Path, Path, Path], name: str) -> None:
    place, _, public = signed
    with pytest.raises(SourceError):
        verify(place, keys=[public], claims=name)


@pytest.mark.parametrize("name", ["/", "no\0path"])
def test_what_is_no_file_is_no_signature_file(signed: tuple[Path, Path, Path], name: str) -> None:
    with pytest.raises(SourceError):
        verify(signed[0], keys=[signed[2]], signature=name)


@pytest.mark.parametrize("single", [False, True])
def test_a_directory_that_is_another_while_it_is_scanned_denies(
    signed: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, single: bool
) -> None:
    place, private, public = signed
    target = place / "weights" / "model.safetensors" if single else place
    if single:
        sign(target, key=private)
        place = place / "weights"
    weights, aside = place if single else place / "weights", place.with_name("aside")
    honest = scanning.scan

    def swapped(*arguments: Any, **options: Any) -> Any:
        weights.rename(aside)
        shutil.copytree(aside, weights)
        try:
            return honest(*arguments, **options)
        finally:
            shutil.rmtree(weights)
            aside.rename(weights)

    monkeypatch.setattr(observed, "scan", swapped)
    assert denied(verify(target, keys=[public])) == [Code.CONTENT_STABLE]


# Symbolic links


def linked(directory: Path) -> tuple[Path, Path]:
    """Write a model with a link to a file and one to a directory, signed through them, and return it with its key."""
    private, public = write_key(directory)
    place = model(directory / "model")
    (place / "a.json").symlink_to("config.json")
    (place / "same").symlink_to("weights")
    sign(place, key=private, allow_symlinks=True)
    return place, public


LINKS = (
    SCANNED.partition("[require.scan]")[0]
    + """[model]
symlinks = "warn"
"""
)


def test_links_are_followed_where_signer_and_policy_let_them_be(tmp_path: Path) -> None:
    place, public = linked(tmp_path)
    decision = verify(place, policy=policy(tmp_path, LINKS))
    assert decision.allowed
    assert decision.covered is not None
    assert decision.covered.files == 5
    assert [reason.code for reason in decision.reasons if not reason.passed] == [Code.SYMLINKS]
    assert verify(place, keys=[public], allow_symlinks=True).allowed


def test_links_are_refused_unless_the_reader_lets_them_be(tmp_path: Path) -> None:
    place, public = linked(tmp_path)
    for decision in (
        verify(place, keys=[public]),
        verify(place, policy=policy(tmp_path, LINKS.replace("warn", "deny")), allow_symlinks=True),
    ):
        assert denied(decision) == [Code.SYMLINKS]
        assert "follows links that stay inside" in decision.reasons[-1].message


def test_link_that_the_signer_did_not_see_differs(signed: tuple[Path, Path, Path]) -> None:
    place, _, public = signed
    _link_in_place(place)
    assert denied(verify(place, keys=[public], allow_symlinks=True)) == [Code.CONTENT]


@pytest.mark.parametrize("changed", ["config.json", "weights/model.safetensors", "weights/new.py"])
def test_what_links_lead_to_is_verified(tmp_path: Path, changed: str) -> None:
    place, public = linked(tmp_path)
    with (place / changed).open("ab") as file:
        file.write(b" ")
    decision = verify(place, keys=[public], allow_symlinks=True, every=True)
    assert exit_of_decision(decision) is Exit.CONTENT_DIFFERS


def test_what_is_scanned_under_no_path_is_incomplete_behind_links_too(tmp_path: Path) -> None:
    place, public = linked(tmp_path)
    decision = verify(place, keys=[public], allow_symlinks=True, partial=["same/*"])
    assert denied(decision) == [Code.LOCAL_SCAN_COMPLETE]


@pytest.mark.parametrize("target", ["../config.json", "/etc/passwd", "none", "."])
def test_links_that_lead_elsewhere_are_refused_all_the_same(tmp_path: Path, target: str) -> None:
    place, public = linked(tmp_path)
    (tmp_path / "config.json").write_bytes(CONFIG)
    (place / "a.json").unlink()
    (place / "a.json").symlink_to(target)
    assert denied(verify(place, keys=[public], allow_symlinks=True)) == [Code.CONTENT]


def test_model_without_links_whose_signer_would_have_followed_them_needs_no_leave(tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    place = model(tmp_path / "model")
    sign(place, key=private, allow_symlinks=True)
    decision = verify(place, keys=[public])
    assert decision.allowed
    assert Code.SYMLINKS not in [reason.code for reason in decision.reasons if not reason.passed]
