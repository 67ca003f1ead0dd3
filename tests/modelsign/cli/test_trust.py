import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attestations.errors import TrustError
from attestations.trust_file import TrustFile
from modelsign import trusting
from modelsign.cli.main import invoke
from tests.builders.models import model

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def exported(
    stack: "SigstoreStack", path: Path, *, age: timedelta = timedelta(0), instance: str = "public-good"
) -> str:
    """Write the stack's roots as another machine would have exported them."""
    file = TrustFile(instance=instance, fetched=NOW - age, trusted_root=stack.trusted_root_document())
    path.write_bytes(file.to_json())
    return str(path)


def keyless(stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sign a model keyless and return the command that verifies it offline."""
    place = model(tmp_path / "model")
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", stack.token())
    assert invoke(["sign", str(place), "--trust-config", str(stack.trust_config), "-q"]) == 0
    return ["verify", str(place), "--offline", "--identity", "dev@example.com", "--issuer", stack.issuer, "-q"]


def test_roots_carried_to_a_closed_site_are_believed_there(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = keyless(sigstore_stack, tmp_path, monkeypatch)
    assert invoke(verify) in {11, 12}
    assert invoke(["trust", "import", exported(sigstore_stack, tmp_path / "roots.json")]) == 0
    assert invoke(verify) == 0
    assert invoke([*verify, "--max-trust-age", "1d"]) == 0


def test_an_exported_file_can_be_named_directly(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = keyless(sigstore_stack, tmp_path, monkeypatch)
    roots = exported(sigstore_stack, tmp_path / "roots.json", age=timedelta(days=10))
    assert invoke([*verify, "--trusted-root", roots]) == 0
    assert invoke([*verify, "--trusted-root", roots, "--max-trust-age", "30d"]) == 0


def test_roots_that_are_too_old_are_not_believed(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verify = keyless(sigstore_stack, tmp_path, monkeypatch)
    roots = exported(sigstore_stack, tmp_path / "roots.json", age=timedelta(days=31))
    assert invoke([*verify, "--trusted-root", roots, "--max-trust-age", "30d"]) == 15
    assert "31 days ago" in capsys.readouterr().out


def test_roots_of_unknown_age_are_not_believed_where_the_age_counts(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = keyless(sigstore_stack, tmp_path, monkeypatch)
    assert invoke([*verify, "--trusted-root", str(sigstore_stack.trusted_root)]) == 0
    assert invoke([*verify, "--trusted-root", str(sigstore_stack.trusted_root), "--max-trust-age", "30d"]) == 15
    assert invoke([*verify, "--max-trust-age", "30d"]) == 15


def test_a_policy_may_limit_the_age_of_roots(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = keyless(sigstore_stack, tmp_path, monkeypatch)[1]
    exported(sigstore_stack, tmp_path / "roots.json", age=timedelta(days=10))
    policy = tmp_path / "policy.toml"
    text = f"""
schema = 1
[trust]
sigstore = "roots.json"
max_age = "AGE"
[identities]
dev = {{ issuer = "{sigstore_stack.issuer}", subject = "dev@example.com" }}
"""
    for age, code in (("30d", 0), ("7d", 15)):
        policy.write_text(text.replace("AGE", age))
        assert invoke(["verify", place, "--policy", str(policy), "--offline", "-q"]) == code


def test_older_roots_do_not_replace_newer_ones(
    sigstore_stack: "SigstoreStack", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = exported(sigstore_stack, tmp_path / "new.json")
    old = exported(sigstore_stack, tmp_path / "old.json", age=timedelta(days=3))
    assert invoke(["trust", "import", new]) == 0
    assert invoke(["trust", "import", old]) == 2
    assert "older than the roots here" in capsys.readouterr().err
    assert invoke(["trust", "import", old, "--force"]) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schema": "other"}, 15),
        ({"fetched": "yesterday"}, 15),
        ({"fetched": "2999-01-01T00:00:00Z"}, 2),
        ({"instance": "elsewhere"}, 2),
        ({"trustedRoot": {}}, 15),
        ({"trustedRoot": []}, 15),
    ],
)
def test_what_is_no_trust_file_is_refused(
    sigstore_stack: "SigstoreStack", tmp_path: Path, change: dict[str, object], code: int
) -> None:
    path = tmp_path / "roots.json"
    document = json.loads(Path(exported(sigstore_stack, path)).read_text())
    path.write_text(json.dumps(document | change))
    assert invoke(["trust", "import", str(path)]) == code
    assert not trusting.stored("public-good").exists()


def test_export_and_import_carry_the_same_roots(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = sigstore_stack.trusted_root_document()
    monkeypatch.setattr(trusting, "fetch", lambda name: TrustFile(instance=name, fetched=NOW, trusted_root=document))
    carried = tmp_path / "carried.json"
    assert invoke(["trust", "export", "-o", str(carried)]) == 0
    assert invoke(["trust", "export", "-o", str(carried)]) == 2
    trusting.stored("public-good").unlink()
    assert invoke(["trust", "export", "--offline", "--force", "-o", str(carried)]) == 15
    assert invoke(["trust", "import", str(carried)]) == 0
    assert trusting.at_hand("public-good").trusted_root == document


def test_status_tells_place_age_and_content(
    sigstore_stack: "SigstoreStack", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["trust", "status", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert [one["instance"] for one in before["instances"]] == ["public-good", "staging"]
    assert before["instances"][0]["fetched"] is None
    assert before["instances"][0]["certificate_authorities"] > 0
    assert invoke(["trust", "status", "--max-age", "30d"]) == 15

    invoke(["trust", "import", exported(sigstore_stack, tmp_path / "roots.json", age=timedelta(days=2)), "-q"])
    capsys.readouterr()
    assert invoke(["trust", "status", "--max-age", "30d"]) == 0
    assert "2 days ago" in capsys.readouterr().out
    assert invoke(["trust", "status", "--max-age", "1d"]) == 15


def test_without_a_network_roots_cannot_be_fetched_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: str) -> TrustFile:
        raise TrustError("the trusted roots of the public-good instance cannot be refreshed")

    monkeypatch.setattr(trusting, "fetch", closed)
    assert invoke(["trust", "update"]) == 15
    assert not trusting.stored("public-good").exists()
