"""The weaknesses of model-signing 1.1.1, one test per row of the table we made of them, and what we do instead."""

import hashlib
import itertools
import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

import modelsign
from attestations import algorithms
from attestations.bundle import Bundle
from attestations.key_files import private_pem
from attestations.predicates.oms_signature import manifest_of
from attestations.statement import Statement
from modelsign.cli.main import invoke
from modelsign.signing import sign
from tests.builders.certificates import CODE_SIGNING, Holder, issue
from tests.builders.signatures import altered, oms_payload, resource, sealed, write_key, write_model
from tests.vectors import VECTORS, needs_vectors

FILES = {"config.json": b"{}", "README.md": b"# model", "notes.txt": b"notes"}
NOW = datetime.now(UTC)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", FILES)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, str]:
    private, public = write_key(tmp_path)
    return str(private), str(public)


Shell = Callable[..., tuple[int, str]]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command and return its exit code and all that it printed."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        code = invoke([str(word) for word in arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def put(model: Path, bundle: Bundle | bytes) -> None:
    (model / "model.sig").write_bytes(bundle if isinstance(bundle, bytes) else bundle.to_json())


def listed(**changes: Any) -> bytes:
    """Return an honest statement about `FILES`, with changes."""
    return oms_payload([resource(name, FILES[name]) for name in sorted(FILES)], **changes)


def test_w1_everything_we_import_is_declared() -> None:
    import re
    import tomllib

    root = Path(modelsign.__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=; ]", item)[0].lower().replace("-", "_") for item in declared}
    used = set()
    for path in (root / "attestations").rglob("*.py"):
        used |= set(re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
    ours = used - set(sys.stdlib_module_names) - {"attestations"}
    assert ours <= names | {"pkcs11"}, ours - names


@pytest.mark.parametrize("options", [["--hash", "blake2b"], ["--method", "shards", "--shard-size", "4096"]])
def test_w2_command_line_verifies_all_that_it_signs(
    model: Path, keys: tuple[str, str], shell: Shell, options: list[str]
) -> None:
    assert shell("sign", model, "--key", keys[0], *options)[0] == 0
    assert shell("verify", model, "--key", keys[1])[0] == 0
    (model / "notes.txt").write_bytes(b"NOTES")
    assert shell("verify", model, "--key", keys[1])[0] == 13


def test_w3_directory_behind_a_link_is_covered_or_refused(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    write_model(model, {"pkg/data.txt": b"1"})
    (model / "link").symlink_to("pkg")
    code, said = shell("sign", model, "--key", keys[0])
    assert (code, "symbolic link" in said) == (4, True)
    assert shell("sign", model, "--key", keys[0], "--allow-symlinks")[0] == 0
    statement = Statement.parse(Bundle.parse((model / "model.sig").read_bytes()).envelope.payload)
    assert "link/data.txt" in manifest_of(statement).files()
    code, said = shell("verify", model, "--key", keys[1])
    assert (code, "--allow-symlinks" in said) == (1, True)
    assert shell("verify", model, "--key", keys[1], "--allow-symlinks")[0] == 0
    (model / "pkg" / "data.txt").write_bytes(b"2")
    assert shell("verify", model, "--key", keys[1], "--allow-symlinks")[0] == 13


def test_w4_file_replaced_during_the_run_denies(model: Path, keys: tuple[str, str]) -> None:
    """A small file that was read already is replaced while a large one is still being read."""
    write_model(model, {"z.bin": bytes(8 * 1024 * 1024)})
    sign(model, key=keys[0])
    done = threading.Event()

    def replace(count: int) -> None:
        if count > len(FILES["README.md"]) and not done.is_set():
            done.set()
            (model / "evil").write_bytes(b"# evil!")
            (model / "evil").replace(model / "README.md")

    decision = modelsign.verify(model, keys=[keys[1]], scan=False, progress=replace)
    assert done.is_set()
    assert not decision.allowed
    assert any("README.md" in reason.message or "evil" in reason.message for reason in decision.reasons)


SINCE, UNTIL = NOW - timedelta(days=100), NOW + timedelta(days=100)
ROOT = issue("Acme Root", ca=True, since=SINCE, until=UNTIL)


def certified(model: Path, shell: Shell, holder: Holder, *options: str) -> tuple[int, str]:
    """Sign with a certificate and verify under the root."""
    key, certificate = holder.write(model.parent, "signer")
    _, root = ROOT.write(model.parent, "root")
    assert shell("sign", model, "--key", key, "--signing-certificate", certificate)[0] == 0
    return shell("verify", model, "--certificate-chain", root, *options)


def test_w5_certificate_must_be_somebodys_whom_the_reader_names(model: Path, shell: Shell) -> None:
    other = issue("other team", ROOT, purposes=CODE_SIGNING, since=SINCE, until=UNTIL)
    code, said = certified(model, shell, other, "--subject", "release")
    assert (code, "other team" in said) == (12, True)


def test_w5_certificate_of_a_web_server_signs_nothing(model: Path, shell: Shell) -> None:
    from cryptography.x509.oid import ExtendedKeyUsageOID

    server = issue("www", ROOT, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,), since=SINCE, until=UNTIL)
    assert certified(model, shell, server, "--any-subject")[0] == 11


def test_w5_there_are_no_default_roots(model: Path, shell: Shell) -> None:
    certified(model, shell, issue("release", ROOT, purposes=CODE_SIGNING, since=SINCE, until=UNTIL), "--any-subject")
    assert shell("verify", model, "--any-subject")[0] == 2


@pytest.mark.parametrize(
    ("since", "until", "what"),
    [(SINCE, NOW - timedelta(days=1), "expired"), (NOW + timedelta(days=1), UNTIL, "valid from")],
)
def test_w6_certificate_must_be_valid(model: Path, shell: Shell, since: datetime, until: datetime, what: str) -> None:
    leaf = issue("release", ROOT, purposes=CODE_SIGNING, since=since, until=until)
    code, said = certified(model, shell, leaf, "--any-subject")
    assert (code, what in said) == (11, True)


def test_w7_name_that_leaves_the_model_is_refused(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    (model.parent / "secret.txt").write_bytes(b"secret")
    put(model, sealed(oms_payload([resource("../secret.txt", b"secret")])))
    code, said = shell("verify", model, "--key", keys[1], "--ignore-unsigned-files")
    assert (code, "../secret.txt" in said) == (11, True)


def test_w8_signer_cannot_choose_what_is_not_looked_at(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": ["."]}
    predicate: dict[str, Any] = {"serialization": serialization, "resources": []}
    put(model, sealed(oms_payload([], predicate=predicate)))
    assert shell("verify", model, "--key", keys[1])[0] == 11
    serialization["ignore_paths"] = ["notes.txt"]
    predicate["resources"] = kept = [resource(name, FILES[name]) for name in sorted(FILES) if name != "notes.txt"]
    put(model, sealed(oms_payload(kept, predicate=predicate)))
    code, said = shell("verify", model, "--key", keys[1])
    assert (code, "--ignore notes.txt" in said) == (13, True)
    assert shell("verify", model, "--key", keys[1], "--ignore", "notes.txt")[0] == 0


@pytest.mark.parametrize(
    "payload",
    [
        oms_payload([resource("config.json", b"evil"), *(resource(name, FILES[name]) for name in sorted(FILES))]),
        listed().replace(b'"resources"', b'"resources": [], "resources"'),
    ],
    ids=["resource", "json-key"],
)
def test_w9_nothing_is_named_twice(model: Path, keys: tuple[str, str], shell: Shell, payload: bytes) -> None:
    put(model, sealed(payload))
    code, said = shell("verify", model, "--key", keys[1])
    assert (code, "twice" in said) == (11, True)


def test_w10_shards_cover_empty_files_and_names_with_colons(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    write_model(model, {"w:1.txt": b"1", "empty.txt": b""})
    shell("sign", model, "--key", keys[0], "--method", "shards")
    assert shell("verify", model, "--key", keys[1])[0] == 0
    (model / "empty.txt").unlink()
    assert shell("verify", model, "--key", keys[1])[0] == 13
    write_model(model, {"empty.txt": b"", "__init__.txt": b""})
    assert shell("verify", model, "--key", keys[1])[0] == 13


def test_w11_what_was_left_out_by_default_is_told(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    shell("sign", model, "--key", keys[0])
    write_model(model, {".github/notes.txt": b""})
    _, said = shell("verify", model, "--key", keys[1])
    assert ".github/notes.txt" in said


def test_w11_unsigned_file_that_is_let_pass_is_told_and_scanned(
    model: Path, keys: tuple[str, str], shell: Shell
) -> None:
    shell("sign", model, "--key", keys[0])
    write_model(model, {"pytorch_model.bin": b"cos\nsystem\n(S'echo'\ntR."})
    code, said = shell("verify", model, "--key", keys[1], "--ignore-unsigned-files")
    assert (code, "pytorch_model.bin" in said) == (1, True)


def test_w12_old_encoding_is_no_signature(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    from attestations.uris import PAYLOAD_TYPE
    from tests.builders.signatures import key

    payload = listed()
    old = f"DSSEV1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} {payload!r}".encode()
    signature = algorithms.sign(key(), old)
    import base64

    text = base64.b64encode(signature).decode()
    put(model, altered(sealed(payload), **{"dsseEnvelope.signatures": [{"sig": text}]}))
    assert shell("verify", model, "--key", keys[1])[0] == 11


@needs_vectors
def test_w12_old_statement_is_judged_on_request_only(shell: Shell, tmp_path: Path) -> None:
    samples = VECTORS / "oms" / "model-transparency"
    root = samples / "keys" / "certificate" / "ca-cert.pem"
    command = ["verify", samples / "v0.2.0-certificate", "--certificate-chain", root, "--any-subject"]
    code, said = shell(*command)
    assert (code, "--legacy" in said) == (16, True)
    assert shell(*command, "--legacy")[0] == 0


@pytest.mark.parametrize("which", ["good-bad", "bad-good", "none"])
def test_w13_number_of_signatures_is_one(model: Path, keys: tuple[str, str], shell: Shell, which: str) -> None:
    bundle = sealed(listed())
    good = json.loads(bundle.to_json())["dsseEnvelope"]["signatures"][0]
    bad = {"sig": "AAAA"}
    signatures = {"good-bad": [good, bad], "bad-good": [bad, good], "none": []}[which]
    put(model, altered(bundle, **{"dsseEnvelope.signatures": signatures}))
    code, said = shell("verify", model, "--key", keys[1])
    assert (code, "signature" in said) == (11, True)


def test_w14_several_keys_are_trusted_in_any_order(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    _, new = write_key(model.parent, "new")
    shell("sign", model, "--key", keys[0])
    for order in ((keys[1], new), (new, keys[1])):
        assert shell("verify", model, "--key", order[0], "--key", order[1])[0] == 0
    assert shell("verify", model, "--key", new)[0] == 12


def test_w15_encrypted_key_signs_and_its_passphrase_is_no_argument(
    model: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = write_key(model.parent, "locked", b"open sesame")
    monkeypatch.setenv("MODELSIGN_KEY_PASSPHRASE", "open sesame")
    assert shell("sign", model, "--key", private)[0] == 0
    assert shell("verify", model, "--key", public)[0] == 0
    code, said = shell("sign", "--help")
    assert (code, "--pass" in said) == (0, False)


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)], ids=algorithms.describe
)
def test_w16_other_kinds_of_keys_sign_and_verify(model: Path, shell: Shell, key: algorithms.PrivateKey) -> None:
    private, public = model.parent / "k.key", model.parent / "k.pub"
    private.write_bytes(private_pem(key, None))
    public.write_bytes(algorithms.public_pem(key.public_key()))
    assert shell("sign", model, "--key", private)[0] == 0
    assert shell("verify", model, "--key", public)[0] == 0


@pytest.mark.service
def test_w17_module_is_found_where_debian_keeps_it() -> None:
    from attestations.signers.pkcs11 import TokenUri

    module = Path("/usr/lib/softhsm/libsofthsm2.so")
    if not module.exists():
        pytest.skip("needs Debian's package softhsm2")
    # That it signs with a certificate too: tests/attestations/signers/test_pkcs11.py.
    assert TokenUri.parse("pkcs11:object=a?module-name=softhsm2").module == module


def test_w18_certificate_without_a_chain_signs(model: Path, shell: Shell) -> None:
    leaf = issue("release", ROOT, purposes=CODE_SIGNING, since=SINCE, until=UNTIL)
    assert certified(model, shell, leaf, "--subject", "release")[0] == 0


def test_w19_two_signatures_do_not_invalidate_each_other(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    for name in ("a.sig", "b.sig"):
        assert shell("sign", model, "--key", keys[0], "--signature", model / name)[0] == 0
    for name in ("a.sig", "b.sig"):
        assert shell("verify", model, "--key", keys[1], "--signature", model / name)[0] == 0


def test_w20_ignored_paths_are_those_of_the_model_and_patterns_work(
    model: Path, keys: tuple[str, str], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    assert shell("sign", "model", "--key", keys[0], "--ignore", "*.txt")[0] == 0
    statement = Statement.parse(Bundle.parse((model / "model.sig").read_bytes()).envelope.payload)
    assert manifest_of(statement).files() == ("README.md", "config.json")
    code, said = shell("sign", "model", "--key", keys[0], "--force", "--ignore", "model/*.txt")
    assert (code, "matches no file" in said) == (2, True)


def test_w21_single_file_is_known_by_both_names_and_a_new_one_denies(
    tmp_path: Path, keys: tuple[str, str], shell: Shell
) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"notes")
    for name in (".", "notes.txt"):
        subject = [
            {"name": "notes.txt", "digest": {"sha256": hashlib.sha256(hashlib.sha256(b"notes").digest()).hexdigest()}}
        ]
        payload = oms_payload([resource(name, b"notes")], subject=subject)
        (tmp_path / "notes.txt.sig").write_bytes(sealed(payload).to_json())
        assert shell("verify", file, "--key", keys[1])[0] == 0
    file.rename(tmp_path / "renamed.txt")
    (tmp_path / "notes.txt.sig").rename(tmp_path / "renamed.txt.sig")
    code, said = shell("verify", tmp_path / "renamed.txt", "--key", keys[1])
    assert (code, "notes.txt" in said) == (13, True)


def test_w22_library_takes_text_and_paths_alike(model: Path, keys: tuple[str, str]) -> None:
    modelsign.sign(str(model), key=keys[0])
    assert modelsign.verify(str(model), keys=[keys[1]], allow_unsigned=True).allowed
    assert modelsign.verify(model, keys=[Path(keys[1])]).allowed


def test_w23_link_of_a_download_cache_says_what_to_do(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    (model.parent / "blob").write_bytes(b"x")
    (model / "weights.txt").symlink_to("../blob")
    code, said = shell("sign", model, "--key", keys[0])
    assert (code, "hf download --local-dir" in said) == (4, True)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", 11, "empty file"),
        (b"nonsense", 11, "not JSON"),
        (b"{}", 11, "not a Sigstore bundle"),
        (b'{"mediaType": "application/vnd.dev.sigstore.bundle.v9+json"}', 16, "does not read"),
    ],
)
def test_w24_malformed_signature_is_explained(
    model: Path, keys: tuple[str, str], shell: Shell, content: bytes, code: int, words: str
) -> None:
    put(model, content)
    found, said = shell("verify", model, "--key", keys[1])
    assert (found, words in said, "Traceback" in said) == (code, True, False)


def test_w24_signature_by_another_method_is_explained(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    _, root = ROOT.write(model.parent, "root")
    shell("sign", model, "--key", keys[0])
    code, said = shell("verify", model, "--certificate-chain", root, "--any-subject")
    assert (code, "public key" in said) == (12, True)


def test_w25_result_says_who_signed_and_what_is_covered(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    shell("sign", model, "--key", keys[0])
    code, said = shell("verify", model, "--key", keys[1])
    assert code == 0
    assert "release.pub" in said
    assert "3 files" in said


def test_w26_names_that_collide_elsewhere_are_told(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    write_model(model, {"e\u0301.txt": b"", "\u00e9.txt": b"", "NOTES.txt": b""})
    _, said = shell("sign", model, "--key", keys[0])
    assert said.count("are one name") == 2
    assert r"'e\u0301.txt' and '\xe9.txt' are one name" in said


def test_w26_a_name_in_another_unicode_form_is_told_apart_from_the_signed_one(
    model: Path, keys: tuple[str, str], shell: Shell
) -> None:
    write_model(model, {"\u00e9.txt": b""})
    shell("sign", model, "--key", keys[0])
    (model / "\u00e9.txt").rename(model / "e\u0301.txt")
    code, said = shell("verify", model, "--key", keys[1])
    assert (code, r"signed as '\xe9.txt' and lies here as 'e\u0301.txt'" in said) == (13, True)


def test_w27_no_file_is_overwritten(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    assert shell("sign", model, "--key", keys[0], "--signature", model / "notes.txt")[0] == 2
    assert (model / "notes.txt").read_bytes() == FILES["notes.txt"]


def test_w28_names_are_written_with_slashes_and_backslashes_lead_nowhere(
    model: Path, keys: tuple[str, str], shell: Shell
) -> None:
    put(model, sealed(oms_payload([resource("..\\secret.txt", b"")])))
    code, said = shell("verify", model, "--key", keys[1])
    assert (code, "leads out of the model" in said) == (11, True)


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_w29_wrong_names_are_refused_before_anything_is_read(model: Path, keys: tuple[str, str], change: str) -> None:
    sign(model, key=keys[0])
    if change == "missing":
        (model / "notes.txt").unlink()
    else:
        write_model(model, {"new.txt": b""})
    read: list[int] = []
    assert not modelsign.verify(model, keys=[keys[1]], progress=read.append).allowed
    assert read == []


def test_w30_attestations_and_policies_are_verified(model: Path, keys: tuple[str, str], shell: Shell) -> None:
    policy = model.parent / "policy.toml"
    policy.write_text(
        'schema = 1\nname = "p"\n[trust]\nkeys = { release = "release.pub" }\n'
        '[identities]\nrelease = { key = "release" }\n[require.signature]\nby = ["release"]\n'
        '[require.scan]\nby = ["release"]\n'
    )
    shell("sign", model, "--key", keys[0])
    assert shell("verify", model, "--policy", policy)[0] == 14
    assert shell("attest", model, "--scan", "--key", keys[0])[0] == 0
    assert shell("verify", model, "--policy", policy)[0] == 0


def test_w31_payload_is_the_same_bytes_every_time(model: Path, keys: tuple[str, str]) -> None:
    first = sign(model, key=keys[0]).bundle.envelope.payload
    second = sign(model, key=keys[0], force=True).bundle.envelope.payload
    assert first == second
    assert (
        b"100.0" not in sign(model, key=keys[0], method="shards", shard_size=10000, force=True).bundle.envelope.payload
    )
