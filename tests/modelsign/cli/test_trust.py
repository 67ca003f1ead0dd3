import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_socket import disable_socket

from attestations.errors import TrustError
from attestations.trust_file import TrustFile
from modelsign import trusting
from modelsign.cli.main import invoke
from tests.builders.models import model
from tests.sigstore_stack.tuf_repository import TufRepository

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
    assert invoke(verify) == 12
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


def test_roots_of_the_future_are_not_young_for_ever(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verify = keyless(sigstore_stack, tmp_path, monkeypatch)
    roots = exported(sigstore_stack, tmp_path / "roots.json", age=timedelta(days=-400))
    assert invoke([*verify, "--trusted-root", roots, "--max-trust-age", "30d"]) == 15
    assert "in the future" in capsys.readouterr().out
    kept = trusting.stored("public-good")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(Path(roots).read_bytes())
    assert invoke(["trust", "status", "--max-age", "30d"]) == 15


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

    def fetch(name: str, **_: object) -> TrustFile:
        return TrustFile(instance=name, fetched=NOW, trusted_root=document)

    monkeypatch.setattr(trusting, "fetch", fetch)
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
    def closed(_: str, **__: object) -> TrustFile:
        raise TrustError("the trusted roots of the public-good instance cannot be refreshed")

    monkeypatch.setattr(trusting, "fetch", closed)
    assert invoke(["trust", "update"]) == 15
    assert not trusting.stored("public-good").exists()


# A private instance by the address of its TUF repository


@pytest.fixture
def repository(sigstore_stack: "SigstoreStack") -> Iterator[TufRepository]:
    repository = TufRepository()
    repository.publish(sigstore_stack.trust_config_document())
    repository.start()
    yield repository
    repository.stop()


def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", socket.socket)  # put back what disable_socket replaces
    disable_socket()


def test_roots_of_a_private_instance_are_carried_to_a_closed_site(
    sigstore_stack: "SigstoreStack", repository: TufRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = keyless(sigstore_stack, tmp_path, monkeypatch)
    carried, place = str(tmp_path / "carried.json"), ["--instance", repository.url]
    first = ["--instance-root", str(repository.write_root(tmp_path / "root.json"))]
    assert invoke(["trust", "export", *place, "-o", carried]) == 15
    assert invoke(["trust", "export", *place, *first, "-o", carried]) == 0
    assert trusting.at_hand(repository.url).trusted_root["tlogs"] == sigstore_stack.trusted_root_document()["tlogs"]

    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "closed" / name))
    cut_off(monkeypatch)
    assert invoke([*verify, *place]) == 15
    assert invoke(["trust", "export", "--offline", *place, "-o", str(tmp_path / "none.json")]) == 15
    assert invoke(["trust", "import", carried]) == 0
    assert invoke([*verify, *place, "--max-trust-age", "1d"]) == 0
    assert invoke([*verify, *place, "--max-trust-age", "1d", "--identity", "boss@example.com"]) == 12
    assert invoke(["trust", "status", *place, "--max-age", "1d"]) == 0


# Every socket is seen, also one that is never connected: urllib3 binds one when it is imported.
_COUNTING = """
import sys
opened = []
sys.addaudithook(lambda event, what: opened.append(event) if event.startswith("socket.") else None)
from modelsign.cli.main import invoke
code = invoke(sys.argv[1:])
sys.exit(f"sockets: {opened}" if opened else code)
"""


def test_offline_opens_no_socket_at_all(
    sigstore_stack: "SigstoreStack", repository: TufRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = keyless(sigstore_stack, tmp_path, monkeypatch)
    roots = exported(sigstore_stack, tmp_path / "roots.json")
    root = ["--instance-root", str(repository.write_root(tmp_path / "root.json"))]
    assert invoke(["trust", "update", "--instance", repository.url, *root]) == 0
    for code, command in (
        (0, ["trust", "import", roots]),
        (0, verify),
        (0, [*verify, "--instance", repository.url]),
        (0, [*verify, "--trusted-root", str(sigstore_stack.trusted_root)]),
        (12, [*verify, "--staging", "--no-scan"]),
        (0, ["trust", "status"]),
        (0, ["trust", "export", "--offline", "-o", str(tmp_path / "again.json")]),
        (15, [*verify, "--instance", "https://tuf.acme.example", "--no-scan"]),
    ):
        done = subprocess.run([sys.executable, "-c", _COUNTING, *command], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, ""), command


def test_roots_of_a_private_instance_get_old(
    sigstore_stack: "SigstoreStack",
    repository: TufRepository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    verify = [*keyless(sigstore_stack, tmp_path, monkeypatch), "--instance", repository.url]
    old = exported(sigstore_stack, tmp_path / "old.json", age=timedelta(days=40), instance=repository.url)
    assert invoke(["trust", "import", old]) == 0
    assert invoke(verify) == 0
    assert invoke([*verify, "--max-trust-age", "30d"]) == 15
    assert "40 days ago" in capsys.readouterr().out
    for named in ([], ["--instance", repository.url]):
        assert invoke(["trust", "status", "--max-age", "30d", *named]) == 15
        assert invoke(["trust", "status", "--max-age", "50d", *named]) == 0
    assert f"{repository.url}: fetched" in capsys.readouterr().out
    assert invoke(["trust", "update", "--instance", repository.url]) == 15
    first = str(repository.write_root(tmp_path / "root.json"))
    assert invoke(["trust", "update", "--instance", f"{repository.url}/", "--instance-root", first]) == 0
    assert invoke([*verify, "--max-trust-age", "30d"]) == 0


def test_policy_may_name_a_private_instance_by_its_address(
    sigstore_stack: "SigstoreStack", repository: TufRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = keyless(sigstore_stack, tmp_path, monkeypatch)[1]
    repository.write_root(tmp_path / "root.json")
    policy = tmp_path / "policy.toml"
    policy.write_text(f"""
schema = 1
[trust]
sigstore = "{repository.url}"
sigstore_root = "root.json"
max_age = "7d"
[identities]
dev = {{ issuer = "{sigstore_stack.issuer}", subject = "dev@example.com" }}
""")
    verify = ["verify", place, "--policy", str(policy), "-q"]
    assert invoke(verify) == 0
    assert invoke([*verify, "--offline"]) == 15
    assert invoke(["trust", "update", "--instance", repository.url]) == 0
    cut_off(monkeypatch)
    assert invoke([*verify, "--offline"]) == 0


def test_root_without_an_address_is_refused_in_a_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('schema = 1\n[trust]\nsigstore = "staging"\nsigstore_root = "root.json"\n')
    assert invoke(["policy", "lint", str(policy)]) == 15
    assert "sigstore_root" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["update", "--instance", "tuf.acme.example"],
        ["update", "--instance-root", "root.json"],
        ["update", "--staging", "--instance", "https://tuf.acme.example"],
        ["update", "--instance", "https://tuf.acme.example/" + "a" * 200],
        ["status", "--staging", "--instance", "https://tuf.acme.example"],
        ["export", "-o", "roots.json", "--staging", "--instance-root", "root.json"],
    ],
)
def test_instances_that_make_no_sense_are_usage_errors(options: list[str]) -> None:
    assert invoke(["trust", *options]) == 2
