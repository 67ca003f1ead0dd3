"""Models that other people signed with other programs, verified from the command line."""

import json
from pathlib import Path

import pytest

from modelsign.cli.main import invoke
from tests.vectors import VECTORS, needs_vectors

pytestmark = needs_vectors

OMS = VECTORS / "oms"
SIGNED = OMS / "model-transparency"
SKILLS = OMS / "nvidia-skills"
IGNORE = ["--ignore", "ignore-me"]
TRUST = {
    "sigstore": [
        *("--identity", "stefanb@us.ibm.com", "--issuer", "https://sigstore.verify.ibm.com/oauth2", "--offline"),
        *("--trusted-root", str(OMS / "trusted-roots" / "sigstore.dev" / "trusted_root.json")),
    ],
    "certificate": ["--certificate-chain", str(SIGNED / "keys" / "certificate" / "ca-cert.pem"), "--any-subject"],
    "elliptic-key": ["--key", str(SIGNED / "keys" / "certificate" / "signing-key-pub.pem")],
}
RELEASES = ("v0.3.1", "v1.0.0", "v1.0.1", "v1.1.0")


@pytest.mark.parametrize("method", TRUST)
@pytest.mark.parametrize("release", RELEASES)
def test_what_model_signing_signed_is_allowed(release: str, method: str) -> None:
    assert invoke(["verify", str(SIGNED / f"{release}-{method}"), *TRUST[method], *IGNORE]) == 0


def test_the_oldest_signatures_need_a_word_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", str(SIGNED / "v0.2.0-certificate"), *TRUST["certificate"], *IGNORE]
    assert invoke(command) == 16
    assert "--legacy" in capsys.readouterr().out
    assert invoke([*command, "--legacy"]) == 0


def test_what_the_signer_left_out_is_not_left_out_unasked() -> None:
    assert invoke(["verify", str(SIGNED / "v1.1.0-elliptic-key"), *TRUST["elliptic-key"]]) == 13


@pytest.mark.parametrize("method", ["sigstore", "elliptic-key"])
def test_somebody_else_is_not_trusted(method: str, tmp_path: Path) -> None:
    assert invoke(["keys", "generate", "--no-passphrase", "-o", str(tmp_path)]) == 0
    other = ["--key", str(tmp_path / "modelsign.pub")]
    if method == "sigstore":
        other = [word.replace("stefanb@us.ibm.com", "eve@us.ibm.com") for word in TRUST[method]]
    assert invoke(["verify", str(SIGNED / f"v1.1.0-{method}"), *other, *IGNORE]) == 12


def _skills() -> list[tuple[str, bool]]:
    if not SKILLS.is_dir():
        return []
    cases = json.loads((SKILLS / "expected.json").read_text())["cases"]
    return sorted((name, case["expected"] == "valid") for name, case in cases.items())


@pytest.mark.parametrize(("skill", "valid"), _skills())
def test_public_directories_of_a_company_end_as_expected(skill: str, valid: bool) -> None:
    place = SKILLS / skill
    trust = ["--certificate-chain", str(SKILLS / "nv-agent-root-cert.pem"), "--any-subject"]
    command = ["verify", str(place), "--signature", str(place / "skill.oms.sig"), *trust, "--no-scan"]
    assert invoke(command) == (0 if valid else 12)
