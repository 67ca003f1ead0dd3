import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

import modelsign
from attestations.bundle import Bundle
from attestations.predicates.verification_summary import VerificationSummary
from attestations.verify import verify_bundle
from modelsign.cli.exits import _REASONS
from modelsign.cli.main import invoke
from modelsign.policy.decision import Code
from tests.builders.models import model, released, rewrite
from tests.builders.signatures import verifier, write_key

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

SCHEMA = Path(modelsign.__file__).parent / "report" / "schemas" / "decision-v1.json"
IDENTITY = "dev@example.com"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return released(tmp_path)[0]


@pytest.fixture
def key(place: Path) -> str:
    return str(place.with_name("release.pub"))


def decision(capsys: pytest.CaptureFixture[str]) -> Any:
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    return document


def test_the_answer_says_who_signed_and_what_was_covered(
    place: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["verify", str(place), "--key", key]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("model: allowed\n")
    assert "signed by  release.pub, method key" in said.out
    assert "covered    3 files" in said.out
    assert "scan PASSED, complete" in said.out
    assert said.err == ""


def test_nothing_is_trusted_by_default(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["verify", str(place)]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("--key", "--identity", "--issuer", "--policy"))


def test_quiet_says_nothing_about_a_model_that_is_allowed(
    place: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["verify", str(place), "--key", key, "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_json_follows_its_schema_and_is_the_same_twice(
    place: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(["verify", str(place), "--key", key, "--json"])
    first = capsys.readouterr().out
    invoke(["verify", str(place), "--key", key, "--json"])
    assert capsys.readouterr().out == first
    assert str(place) not in first
    document = json.loads(first)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["allowed"] is True
    assert {reason["code"] for reason in document["reasons"]} >= {"signature-valid", "signer-trusted", "content"}


def test_every_code_has_an_exit_and_is_in_the_schema() -> None:
    codes = {code.value for code in Code}
    schema = json.loads(SCHEMA.read_text())

    assert set(_REASONS) == codes
    assert set(schema["$defs"]["reason"]["properties"]["code"]["enum"]) == codes


def test_differences_are_listed_by_file(place: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "config.json").unlink()
    (place / "weights" / "model.safetensors").write_bytes(b"other")
    (place / "x.bin").write_bytes(b"x")
    assert invoke(["verify", str(place), "--key", key, "--all", "--json"]) == 13
    document = decision(capsys)
    assert {(reason["code"], reason["subject"]) for reason in document["reasons"] if not reason["passed"]} == {
        ("file-missing", "config.json"),
        ("file-changed", "weights/model.safetensors"),
        ("file-unsigned", "x.bin"),
    }


def test_a_hostile_file_name_does_not_reach_the_terminal(
    place: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "a\x1b[2Jb\u202etxt").write_bytes(b"x")
    assert invoke(["verify", str(place), "--key", key]) == 13
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\\x1b[2J" in said


@pytest.mark.parametrize(
    ("tamper", "code", "says"),
    [
        ("no-signature", 10, "there is no signature"),
        ("bad-signature", 11, "[signature-valid]"),
        ("wrong-key", 12, "another key"),
        ("changed", 13, "is not what was signed"),
        ("no-claim", 14, "no signed scan by release"),
        ("expired-policy", 15, "expired on 2020-01-01"),
        ("unsupported", 16, "[signature-supported]"),
        ("hostile", 1, "system"),
        ("unread", 3, "not completely analysed"),
    ],
)
def test_each_denial_is_one_clear_sentence_and_its_code(
    place: Path, key: str, capsys: pytest.CaptureFixture[str], tamper: str, code: int, says: str
) -> None:
    outside = place.parent
    policy = outside / "policy.toml"
    policy.write_text(
        "schema = 1\n[trust]\nkeys = { release = 'release.pub' }\n[identities]\nrelease = { key = 'release' }\n"
        "[require.scan]\nby = ['release']\n"
    )
    arguments = ["--policy", str(policy)]
    match tamper:
        case "no-signature":
            (place / "model.sig").unlink()
        case "bad-signature":
            rewrite(place / "model.sig", lambda document: document["dsseEnvelope"].update(payload="e30="))
        case "wrong-key":
            arguments = ["--key", str(write_key(outside, "stranger")[1])]
        case "changed":
            (place / "README.md").write_bytes(b"# A m0del\n")
        case "no-claim":
            (place / "claims.jsonl").unlink()
        case "expired-policy":
            policy.write_text("expires = 2020-01-01\n" + policy.read_text())
        case "unsupported":
            rewrite(place / "model.sig", lambda document: document.update(mediaType=f"{document['mediaType'][:-8]}9"))
        case _:
            assert tamper in {"hostile", "unread"}
            hostile = b"cos\nsystem\n(S'echo hi'\ntR." if tamper == "hostile" else bytes(range(1, 200))
            (place / "evil.bin").write_bytes(hostile)
            invoke(["sign", str(place), "--force", "--key", str(place.with_name("release.key")), "-q"])
            arguments = ["--key", key]
    assert invoke(["verify", str(place), *arguments]) == code
    said = capsys.readouterr().out
    assert says in said
    assert said.startswith("model: DENIED\n")


def test_what_decides_may_not_lie_in_what_is_judged(place: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "release.pub").write_bytes(Path(key).read_bytes())
    (place / "policy.toml").write_text("schema = 1\n")
    assert invoke(["verify", str(place), "--key", str(place / "release.pub")]) == 2
    assert invoke(["verify", str(place), "--policy", str(place / "policy.toml")]) == 2
    assert "lies inside" in capsys.readouterr().err


def test_simple_exit_codes_fold_denials_into_one(place: Path, tmp_path: Path) -> None:
    _, stranger = write_key(tmp_path, "stranger")
    assert invoke(["verify", str(place), "--key", str(stranger), "--exit-codes", "simple"]) == 1
    assert invoke(["verify", str(place), "--exit-codes", "simple"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere", "--key", "KEY"], 4),
        (["MODEL", "--key", "nowhere.pub"], 2),
        (["MODEL", "--policy", "nowhere.toml"], 4),
        (["MODEL", "--identity", "ann@acme.example"], 2),
        (["MODEL", "--issuer", "https://issuer.example"], 2),
        (["MODEL", "--key", "KEY", "--pin", "repository_id"], 2),
        (["MODEL", "--key", "KEY", "--pin", "repository_id=1"], 2),
        (["MODEL", "--key", "KEY", "--pin", "nothing=1"], 2),
        (["MODEL", "--key", "KEY", "--staging", "--trusted-root", "x"], 2),
        (["MODEL", "--key", "KEY", "--ignore", "../x"], 2),
        (["MODEL", "--key", "KEY", "--ignore", "*.nothing"], 2),
        (["MODEL", "--key", "KEY", "--claims", "MODEL"], 2),
    ],
)
def test_mistakes_end_in_one_line_and_a_code(
    place: Path, key: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    filled = [word.replace("MODEL", str(place)).replace("KEY", key) for word in arguments]
    assert invoke(["verify", *filled]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    assert said.err


@pytest.mark.parametrize("instance", [["--trusted-root", "nowhere.json"], ["--staging"]])
def test_an_instance_that_no_signature_is_held_against_is_refused(
    place: Path, key: str, capsys: pytest.CaptureFixture[str], instance: list[str]
) -> None:
    assert invoke(["verify", str(place), "--key", key, *instance]) == 2
    said = capsys.readouterr().err
    assert instance[0] in said
    assert "--identity" in said


def test_an_instance_in_the_configuration_leaves_calls_with_a_key_alone(place: Path, key: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[verify]\nstaging = true\n")
    assert invoke(["verify", str(place), "--key", key, "--config", str(settings)]) == 0


def test_a_malformed_policy_names_the_key_that_was_meant(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("schema = 1\n[require.scan]\nmax_agee = '7d'\n")
    assert invoke(["verify", str(place), "--policy", str(policy)]) == 15
    assert "did you mean 'max_age'?" in capsys.readouterr().err


@pytest.fixture
def keyless(tmp_path: Path, sigstore_stack: "SigstoreStack", monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that dev@example.com signed and scanned keyless."""
    place = model(tmp_path / "model")
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", sigstore_stack.token())
    assert invoke(["sign", str(place), "--trust-config", str(sigstore_stack.trust_config), "-q"]) == 0
    assert invoke(["attest", str(place), "--scan", "--trust-config", str(sigstore_stack.trust_config), "-q"]) == 0
    return place


def believe(stack: "SigstoreStack", *options: str) -> list[str]:
    return ["--trusted-root", str(stack.trusted_root), "--offline", *options]


def test_keyless_models_are_verified_by_identity_and_issuer(
    keyless: Path, sigstore_stack: "SigstoreStack", capsys: pytest.CaptureFixture[str]
) -> None:
    trust = believe(sigstore_stack, "--identity", IDENTITY, "--issuer", sigstore_stack.issuer)
    assert invoke(["verify", str(keyless), *trust, "--json"]) == 0
    document = decision(capsys)
    (signer,) = document["signers"]
    assert (signer["identity"], signer["issuer"], signer["method"]) == (IDENTITY, sigstore_stack.issuer, "sigstore")
    assert signer["time"] is not None
    assert len(document["claims"]) == 1


@pytest.mark.parametrize(
    ("identity", "allowed"),
    [
        (["--certificate-identity", IDENTITY], True),
        (["--identity", "*@example.com"], True),
        (["--identity", "*"], False),
        (["--identity", "dev@example"], False),
        (["--identity-regexp", r"dev@example\.(com|org)"], True),
        (["--certificate-identity-regexp", "dev@example"], False),
        (["--identity", "eve@example.com"], False),
    ],
)
def test_identities_match_as_a_whole(
    keyless: Path, sigstore_stack: "SigstoreStack", identity: list[str], allowed: bool
) -> None:
    trust = believe(sigstore_stack, *identity, "--certificate-oidc-issuer", sigstore_stack.issuer)
    assert invoke(["verify", str(keyless), *trust]) == (0 if allowed else 12)


def test_a_wrong_issuer_is_not_trusted(
    keyless: Path, sigstore_stack: "SigstoreStack", capsys: pytest.CaptureFixture[str]
) -> None:
    trust = believe(sigstore_stack, "--identity", IDENTITY, "--issuer", "https://accounts.example")
    assert invoke(["verify", str(keyless), *trust]) == 12
    assert f"signed by {IDENTITY}" in capsys.readouterr().out


def strip(place: Path, *parts: str) -> None:
    """Take log entries, and whatever else is named, from the signature of a model and from its claims."""
    for path in (place / "model.sig", place / "claims.jsonl"):
        documents = [json.loads(line) for line in path.read_text().splitlines()]
        for document in documents:
            for part in ("tlogEntries", *parts):
                document["verificationMaterial"].pop(part)
        path.write_text("".join(json.dumps(document) + "\n" for document in documents))


def test_what_no_log_proves_passes_only_when_that_is_said_aloud(
    keyless: Path, sigstore_stack: "SigstoreStack", capsys: pytest.CaptureFixture[str]
) -> None:
    trust = believe(sigstore_stack, "--identity", IDENTITY, "--issuer", sigstore_stack.issuer, "--json")
    strip(keyless)
    assert invoke(["verify", str(keyless), *trust]) == 11
    assert [reason["code"] for reason in decision(capsys)["reasons"]] == ["log-proof"]
    assert invoke(["verify", str(keyless), *trust, "--insecure-ignore-tlog"]) == 0
    document = decision(capsys)
    said = [reason for reason in document["reasons"] if reason["code"] == "log-proof"]
    assert [(reason["passed"], reason["level"]) for reason in said] == [(False, "warn")] * 2
    assert all("no proof of a transparency log was looked at" in reason["message"] for reason in said)
    assert len(document["claims"]) == 1


def test_what_nobody_gives_a_time_to_has_an_option_of_its_own(
    keyless: Path, sigstore_stack: "SigstoreStack", capsys: pytest.CaptureFixture[str]
) -> None:
    trust = believe(sigstore_stack, "--identity", IDENTITY, "--issuer", sigstore_stack.issuer)
    strip(keyless, "timestampVerificationData")
    assert invoke(["verify", str(keyless), *trust, "--insecure-ignore-tlog"]) == 11
    capsys.readouterr()
    assert invoke(["verify", str(keyless), *trust, "--insecure-ignore-tlog", "--insecure-ignore-time", "-q"]) == 0
    said = capsys.readouterr().out
    assert "warning    for the signature no proof of a transparency log was looked at (--insecure-ignore-tlog)" in said
    assert "nor does anybody trusted say when it was signed (--insecure-ignore-time)" in said
    later = ["--signed-after", "2020-01-01"]
    assert invoke(["verify", str(keyless), *trust, "--insecure-ignore-tlog", "--insecure-ignore-time", *later]) == 12


@pytest.mark.parametrize(
    "options",
    [
        ["--key", "KEY", "--insecure-ignore-tlog"],
        ["--identity", IDENTITY, "--issuer", "https://accounts.example", "--insecure-ignore-time"],
    ],
)
def test_insecure_options_that_would_do_nothing_are_refused(
    place: Path, key: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["verify", str(place), *[key if option == "KEY" else option for option in options]]) == 2
    assert "--insecure-ignore-tlog" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["insecure-ignore-tlog", "insecure-ignore-time"])
def test_no_configuration_and_no_variable_makes_verification_insecure(
    place: Path, key: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = place.with_name("settings.toml")
    settings.write_text(f"[verify]\n{name} = true\n")
    assert invoke(["verify", str(place), "--key", key, "--config", str(settings)]) == 2
    assert "unknown key" in capsys.readouterr().err
    variable = "MODELSIGN_" + name.replace("-", "_").upper()
    monkeypatch.setenv(variable, "1")
    assert invoke(["verify", str(place), "--key", key]) == 0
    assert f"{variable} is ignored: --{name} can be given on the command line only" in capsys.readouterr().err


def test_a_policy_is_never_satisfied_by_what_no_log_proves(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("schema = 1\n")
    trust = ["--identity", IDENTITY, "--issuer", "https://accounts.example", "--policy", str(policy)]
    assert invoke(["verify", str(place), *trust, "--insecure-ignore-tlog"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_another_instance_is_not_trusted(keyless: Path, other_sigstore_stack: "SigstoreStack") -> None:
    trust = believe(other_sigstore_stack, "--identity", IDENTITY, "--issuer-regexp", ".*")
    assert invoke(["verify", str(keyless), *trust]) == 12


def test_a_key_does_not_make_a_keyless_model_trusted(keyless: Path, tmp_path: Path) -> None:
    _, public = write_key(tmp_path)
    assert invoke(["verify", str(keyless), "--key", str(public)]) == 12


def test_a_policy_with_trusted_times_judges_the_age_of_a_scan(
    keyless: Path, sigstore_stack: "SigstoreStack", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f"""
schema = 1
[trust]
sigstore = "{sigstore_stack.trusted_root}"
[identities]
dev = {{ issuer = "{sigstore_stack.issuer}", subject = "*@example.com" }}
[require.signature]
by = ["dev"]
[require.scan]
by = ["dev"]
max_age = "7d"
"""
    )
    assert invoke(["verify", str(keyless), "--policy", str(policy), "--offline"]) == 0
    assert "known as dev" in capsys.readouterr().out
    (keyless / "claims.jsonl").unlink()
    assert invoke(["verify", str(keyless), "--policy", str(policy), "--offline"]) == 14


@pytest.mark.parametrize(("part", "code"), [("certificate", 12), ("tlogEntries", 11), ("sig", 11)])
def test_a_keyless_bundle_that_was_changed_is_refused(
    keyless: Path, sigstore_stack: "SigstoreStack", part: str, code: int
) -> None:
    def change(document: Any) -> None:
        if part == "sig":
            document["dsseEnvelope"]["signatures"][0]["sig"] = "MAYCAQECAQE="
        elif part == "tlogEntries":
            document["verificationMaterial"]["tlogEntries"] = []
        else:
            certificate = document["verificationMaterial"]["certificate"]
            der = base64.b64decode(certificate["rawBytes"])  # its end is Fulcio's signature
            certificate["rawBytes"] = base64.b64encode(der[:-1] + bytes((der[-1] ^ 1,))).decode()

    rewrite(keyless / "model.sig", change)
    trust = believe(sigstore_stack, "--identity", IDENTITY, "--issuer", sigstore_stack.issuer)
    assert invoke(["verify", str(keyless), *trust]) == code


def test_manifests_made_by_digest_are_compared_with_the_signature(
    place: Path, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claimed = str(tmp_path / "manifest.json")
    assert invoke(["digest", str(place), "--json", "-o", claimed]) == 0
    assert invoke(["verify", str(place), "--key", key, "--manifest", claimed]) == 3
    assert "claimed by others" in capsys.readouterr().out
    assert invoke(["verify", str(place), "--key", key, "--manifest", claimed, "--accept-claimed-digests"]) == 0
    assert "digests claimed by others" in capsys.readouterr().out
    assert invoke(["verify", str(place), "--key", key, "--accept-claimed-digests"]) == 2
    assert invoke(["verify", str(place), "--key", key, "--manifest", claimed, "--partial", "*"]) == 2


def test_a_signature_counts_within_a_time_told_by_the_log(keyless: Path, sigstore_stack: "SigstoreStack") -> None:
    trust = believe(sigstore_stack, "--identity", IDENTITY, "--issuer", sigstore_stack.issuer)
    assert invoke(["verify", str(keyless), *trust, "--signed-after", "2020-01-01"]) == 0
    assert invoke(["verify", str(keyless), *trust, "--signed-before", "2020-01-01"]) == 12
    assert invoke(["verify", str(keyless), *trust, "--signed-after", "soon"]) == 2


@pytest.fixture
def by_policy(place: Path) -> list[str]:
    policy = place.with_name("policy.toml")
    policy.write_text(
        "schema = 1\nname = 'prod'\n[trust]\nkeys = { release = 'release.pub' }\n[identities]\n"
        "release = { key = 'release' }\n[require.scan]\nby = ['release']\n"
    )
    return ["--policy", str(policy)]


def test_an_allowed_decision_becomes_a_signed_summary(place: Path, by_policy: list[str], tmp_path: Path) -> None:
    gate, _ = write_key(tmp_path, "gate")
    vsa = tmp_path / "summary.json"
    options = ["--vsa", str(vsa), "--vsa-key", str(gate), "--resource-uri", "hf://acme/tiny"]
    assert invoke(["verify", str(place), *by_policy, *options]) == 0

    verified = verify_bundle(Bundle.parse(vsa.read_bytes()), [verifier("gate")])
    summary = VerificationSummary.parse(verified.statement.predicate)
    assert (summary.resource, summary.policy, summary.passed) == ("hf://acme/tiny", "urn:modelsign:policy:prod", True)
    assert summary.levels == ("MODELSIGN_SCANNED", "MODELSIGN_VERIFIED")
    assert len(summary.inputs) == 2
    assert [subject.name for subject in verified.statement.subjects][1:] == [
        "README.md",
        "config.json",
        "weights/model.safetensors",
    ]


def test_a_denied_model_gets_no_summary(place: Path, by_policy: list[str], tmp_path: Path) -> None:
    gate, _ = write_key(tmp_path, "gate")
    (place / "claims.jsonl").unlink()
    options = ["--vsa", str(tmp_path / "summary.json"), "--vsa-key", str(gate), "--resource-uri", "x"]
    assert invoke(["verify", str(place), *by_policy, *options]) == 14
    assert not (tmp_path / "summary.json").exists()


def test_whoever_made_the_model_cannot_sum_up(
    place: Path, by_policy: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = str(place.with_name("release.key"))
    options = ["--vsa", str(tmp_path / "summary.json"), "--vsa-key", release, "--resource-uri", "x"]
    assert invoke(["verify", str(place), *by_policy, *options]) == 2
    assert "must be its own" in capsys.readouterr().err
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--vsa", "FILE"],
        ["--vsa-key", "KEY"],
        ["--resource-uri", "x"],
        ["--vsa", "FILE", "--vsa-key", "KEY"],
        ["--vsa", "FILE", "--vsa-key", "KEY", "--resource-uri", "x", "--partial", "*.json"],
    ],
)
def test_half_a_summary_is_a_usage_error(place: Path, by_policy: list[str], tmp_path: Path, options: list[str]) -> None:
    gate, _ = write_key(tmp_path, "gate")
    filled = [word.replace("FILE", str(tmp_path / "vsa")).replace("KEY", str(gate)) for word in options]
    assert invoke(["verify", str(place), *by_policy, *filled]) == 2
    assert not (tmp_path / "vsa").exists()
