"""Signing and verifying with certificates and timestamps, as from a shell."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from attestations.errors import SigningError
from attestations.signers.pkcs11 import TokenSigner
from modelsign.cli.main import invoke
from tests.builders.certificates import CODE_SIGNING, Holder, issue
from tests.builders.signatures import write_key, write_model
from tests.sigstore_stack.tsa import PATH

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

NOW = datetime.now(UTC)
SINCE, UNTIL = NOW - timedelta(days=30), NOW + timedelta(days=30)
ROOT = issue("Acme Root", ca=True, since=SINCE, until=UNTIL)
LEAF = issue("release", ROOT, purposes=CODE_SIGNING, since=SINCE, until=UNTIL)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", {"config.json": b"{}", "README.md": b"# hello"})


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(ROOT.write(tmp_path, "root")[1])


def sign(model: Path, holder: Holder = LEAF, *options: str) -> int:
    key, certificate = holder.write(model.parent, "signer")
    return invoke(["sign", str(model), "--key", str(key), "--signing-certificate", str(certificate), *options])


def verify(model: Path, *options: str) -> int:
    return invoke(["verify", str(model), *options])


def test_certificate_signs_and_verifies(model: Path, root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign(model) == 0
    assert "release" in capsys.readouterr().out
    assert verify(model, "--certificate-chain", root, "--subject", "release", "--json") == 0
    assert json.loads(capsys.readouterr().out)["allowed"] is True


def test_anybody_must_be_said_aloud(model: Path, root: str, capsys: pytest.CaptureFixture[str]) -> None:
    sign(model)
    assert verify(model, "--certificate-chain", root) == 2
    assert "--any-subject" in capsys.readouterr().err
    assert verify(model, "--certificate-chain", root, "--any-subject") == 0
    assert verify(model, "--certificate-chain", root, "--any-subject", "--subject", "release") == 2


def test_pin_without_a_root_is_a_usage_error(model: Path) -> None:
    sign(model)
    assert verify(model, "--subject", "release") == 2


def test_somebody_else_under_the_root_is_not_trusted(model: Path, root: str) -> None:
    sign(model, issue("other team", ROOT, purposes=CODE_SIGNING, since=SINCE, until=UNTIL))
    assert verify(model, "--certificate-chain", root, "--subject", "release") == 12


def test_root_of_somebody_else_is_not_trusted(model: Path, tmp_path: Path) -> None:
    sign(model)
    _, other = issue("Acme Root", ca=True, since=SINCE, until=UNTIL).write(tmp_path, "other")
    assert verify(model, "--certificate-chain", str(other), "--subject", "release") == 12


def test_root_from_inside_the_model_is_refused(model: Path, root: str) -> None:
    (model / "root.pem").write_bytes(Path(root).read_bytes())
    sign(model)
    assert verify(model, "--certificate-chain", str(model / "root.pem"), "--any-subject") == 2


def test_changed_content_differs(model: Path, root: str) -> None:
    sign(model)
    (model / "README.md").write_text("# evil")
    assert verify(model, "--certificate-chain", root, "--any-subject") == 13


def test_pin_in_a_uri_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["sign", str(model), "--pkcs11-uri", "pkcs11:object=a?module-path=/m.so&pin-value=1"]) == 4
    assert "MODELSIGN_PKCS11_PIN" in capsys.readouterr().err


def test_pin_comes_from_a_file_or_the_environment(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins: list[str | None] = []

    def remember(signer: TokenSigner, _: object) -> None:
        pins.append(signer.pin)
        raise SigningError("enough")

    monkeypatch.setattr(TokenSigner, "sign", remember)
    monkeypatch.setenv("MODELSIGN_PKCS11_PIN", "5678")
    (tmp_path / "pin").write_text("1234\n")
    uri = "pkcs11:object=a?module-path=/m.so"
    assert invoke(["sign", str(model), "--pkcs11-uri", uri]) == 4
    assert invoke(["sign", str(model), "--pkcs11-uri", f"{uri}&pin-source=file:{tmp_path / 'pin'}"]) == 4
    assert pins == ["5678", "1234"]


@pytest.mark.parametrize(
    "options",
    [
        ["--signing-certificate", "c"],
        ["--certificate-chain", "c", "--key", "k"],
        ["--keyless", "--pkcs11-uri", "pkcs11:object=a"],
        ["--key", "k", "--rekor-version", "1"],
    ],
)
def test_options_that_make_no_sense_together_are_usage_errors(model: Path, options: list[str]) -> None:
    assert invoke(["sign", str(model), *options]) == 2


# Time

EXPIRED = issue("release", ROOT, purposes=CODE_SIGNING, since=SINCE, until=NOW - timedelta(days=1))


def authority(stack: "SigstoreStack", directory: Path) -> str:
    """Write the certificates of the stack's timestamp authority."""
    from cryptography.hazmat.primitives.serialization import Encoding

    path = directory / "tsa.pem"
    holders = (stack.tsa.root, stack.tsa.leaf)
    path.write_bytes(b"".join(holder.certificate.public_bytes(Encoding.PEM) for holder in holders))
    return str(path)


def test_expired_certificate_is_refused(model: Path, root: str, capsys: pytest.CaptureFixture[str]) -> None:
    sign(model, EXPIRED)
    assert verify(model, "--certificate-chain", root, "--any-subject") == 11
    said = capsys.readouterr()
    assert "expired" in said.out + said.err


@pytest.mark.parametrize(
    ("leaf", "said"),
    [
        (issue("release", ROOT, with_usage=False, since=SINCE, until=UNTIL), "does not say what it is for"),
        (issue("release", ROOT, ca=True, purposes=CODE_SIGNING, since=SINCE, until=UNTIL), "that of an authority"),
        (issue("release", purposes=CODE_SIGNING, since=SINCE, until=UNTIL), None),
    ],
    ids=["no usage", "authority", "self-signed"],
)
def test_certificate_for_something_else_is_told_when_signing(
    model: Path, capsys: pytest.CaptureFixture[str], leaf: Holder, said: str | None
) -> None:
    assert sign(model, leaf) == 0
    err = capsys.readouterr().err
    assert ("readers will refuse" in err) is (said is not None)
    assert (said or "") in err


@pytest.mark.parametrize(
    ("days", "said"), [((-60, -30), "expired on"), ((30, 60), "is not valid before"), ((-1, 30), None)]
)
def test_certificate_that_readers_will_refuse_is_told_when_signing(
    model: Path, capsys: pytest.CaptureFixture[str], days: tuple[int, int], said: str | None
) -> None:
    since, until = (NOW + timedelta(days=number) for number in days)
    assert sign(model, issue("release", ROOT, purposes=CODE_SIGNING, since=since, until=until)) == 0
    err = capsys.readouterr().err
    assert ("readers will refuse" in err) is (said is not None)
    assert (said or "") in err


def test_timestamp_is_told(
    model: Path, root: str, sigstore_stack: "SigstoreStack", capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(model, LEAF, "--timestamp-url", f"{sigstore_stack.tsa.url}{PATH}") == 0
    capsys.readouterr()
    stamped = authority(sigstore_stack, model.parent)
    options = ["--certificate-chain", root, "--any-subject", "--timestamp-authority", stamped, "--json"]
    assert verify(model, *options) == 0
    (signer,) = json.loads(capsys.readouterr().out)["signers"]
    assert signer["time_source"] == "timestamp authority"


def test_signature_outlives_its_certificate_by_a_timestamp(
    model: Path, root: str, sigstore_stack: "SigstoreStack", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that expires between signing and verifying."""
    short = issue("release", ROOT, purposes=CODE_SIGNING, since=SINCE, until=NOW + timedelta(hours=1))
    assert sign(model, short, "--timestamp-url", f"{sigstore_stack.tsa.url}{PATH}") == 0
    later = NOW + timedelta(days=2)
    monkeypatch.setattr("attestations.signers.certificate.datetime", SimpleNamespace(now=lambda _: later))
    options = ["--certificate-chain", root, "--any-subject"]
    assert verify(model, *options) == 11
    assert verify(model, *options, "--timestamp-authority", authority(sigstore_stack, model.parent)) == 0


@pytest.mark.parametrize("trust", [["--identity", "a@b", "--issuer", "https://c"], ["--policy", "policy.toml"]])
def test_authority_that_would_be_asked_nothing_is_a_usage_error(
    model: Path, trust: list[str], sigstore_stack: "SigstoreStack", capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(model, *trust, "--timestamp-authority", authority(sigstore_stack, model.parent)) == 2
    assert "for --key and --certificate-chain" in capsys.readouterr().err


def test_timestamp_of_a_stranger_counts_for_nothing(
    model: Path, root: str, sigstore_stack: "SigstoreStack", other_sigstore_stack: "SigstoreStack"
) -> None:
    sign(model, EXPIRED, "--timestamp-url", f"{other_sigstore_stack.tsa.url}{PATH}")
    stamped = authority(sigstore_stack, model.parent)
    assert verify(model, "--certificate-chain", root, "--any-subject", "--timestamp-authority", stamped) == 11


def test_key_signature_gets_a_time_too(
    model: Path, sigstore_stack: "SigstoreStack", capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = write_key(model.parent)
    assert (
        invoke(["sign", str(model), "--key", str(private), "--timestamp-url", f"{sigstore_stack.tsa.url}{PATH}"]) == 0
    )
    capsys.readouterr()
    stamped = authority(sigstore_stack, model.parent)
    assert verify(model, "--key", str(public), "--timestamp-authority", stamped, "--json") == 0
    assert json.loads(capsys.readouterr().out)["signers"][0]["time"]


def test_authority_that_does_not_answer_ends_the_signing(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign(model, LEAF, "--timestamp-url", "http://127.0.0.1:1/") == 4
    assert "did not answer" in capsys.readouterr().err
    assert not (model / "model.sig").exists()
