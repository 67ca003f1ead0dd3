import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from attestations.bundle import Bundle
from attestations.errors import (
    AttestationError,
    IdentityMismatch,
    LogProofInvalid,
    SignatureInvalid,
    SigningError,
    TrustError,
    Unsupported,
    VerificationError,
)
from attestations.manifest import measure_against
from attestations.predicates.oms_signature import manifest_of
from attestations.signers.certificate import (
    CertificateSigner,
    CertificateVerifier,
    Pin,
    load_roots,
)
from attestations.statement import Statement
from attestations.verify import Method, VerifiedStatement, verify_bundle
from tests.builders.certificates import CODE_SIGNING, NOW, Holder, issue, usage
from tests.builders.signatures import altered, oms_payload, resource, sealed
from tests.vectors import VECTORS, needs_vectors

STATEMENT = Statement.parse(oms_payload([resource("w")]))
ROOT = issue("Acme Root", ca=True)
MIDDLE = issue("Acme Signing", ROOT, ca=True)
LEAF = issue("release", MIDDLE, purposes=CODE_SIGNING, names=(x509.RFC822Name("release@acme.example"),))
ANYBODY = Pin()


def signed(leaf: Holder = LEAF, *chain: Holder) -> Bundle:
    certificates = tuple(holder.certificate for holder in (leaf, *(chain or (MIDDLE,))))
    return Bundle.parse(CertificateSigner(key=leaf.key, certificates=certificates).sign(STATEMENT).to_json())


def judged(
    bundle: Bundle, *, pin: Pin = ANYBODY, roots: tuple[Holder, ...] = (ROOT,), **options: Any
) -> VerifiedStatement:
    trusted = tuple(holder.certificate for holder in roots)
    options = {"now": NOW, **options}
    return verify_bundle(bundle, [CertificateVerifier(roots=trusted, accepts=pin, expected=pin.describe(), **options)])


def test_what_is_signed_verifies() -> None:
    proven = judged(signed())
    assert proven.statement == STATEMENT
    assert (proven.signed_by.method, proven.signed_by.name) == (Method.CERTIFICATE, "release@acme.example")
    assert proven.signed_by.issuer == "O=Acme,CN=Acme Root"
    assert proven.time is None


@pytest.mark.parametrize("chain", [(MIDDLE, ROOT), (ROOT, MIDDLE), (MIDDLE, MIDDLE)])
def test_chain_may_hold_the_root_and_come_in_any_order(chain: tuple[Holder, ...]) -> None:
    assert judged(signed(LEAF, *chain)).statement == STATEMENT


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 2048),
    ],
)
def test_other_keys_sign_as_well(key: Any) -> None:
    assert judged(signed(issue("release", MIDDLE, key=key))).statement == STATEMENT


@pytest.mark.parametrize(
    "pin",
    [
        Pin(subject="release"),
        Pin(subject="O=Acme,CN=release"),
        Pin(name="release@acme.example"),
        Pin(subject="release", name="release@acme.example"),
    ],
)
def test_pin_that_fits_lets_pass(pin: Pin) -> None:
    assert judged(signed(), pin=pin).statement == STATEMENT


@pytest.mark.parametrize(
    "pin",
    [
        Pin(subject="Release"),
        Pin(subject="CN=release"),
        Pin(subject=""),
        Pin(name="boss@acme.example"),
        Pin(name="release"),
        Pin(subject="release", name="boss@acme.example"),
        Pin(spki="00" * 32),
    ],
)
def test_pin_that_does_not_fit_is_not_trusted(pin: Pin) -> None:
    with pytest.raises(IdentityMismatch, match=r"signed by release@acme\.example"):
        judged(signed(), pin=pin)


def test_subject_that_would_have_fitted_is_told() -> None:
    with pytest.raises(
        IdentityMismatch, match=r"signed by .* \(subject O=Acme,CN=release, .* was subject CN=release,O=Acme$"
    ):
        judged(signed(), pin=Pin(subject="CN=release,O=Acme"))


def test_public_key_can_be_pinned() -> None:
    spki = judged(signed()).signed_by.claims["spki"]
    assert judged(signed(), pin=Pin(spki=spki.upper())).signed_by.claims["spki"] == spki


def test_other_team_under_the_same_root_is_not_trusted() -> None:
    with pytest.raises(IdentityMismatch, match="expected was subject release"):
        judged(signed(issue("other team", MIDDLE, purposes=CODE_SIGNING)), pin=Pin(subject="release"))


def test_changed_payload_is_invalid() -> None:
    with pytest.raises(SignatureInvalid):
        judged(Bundle.parse(altered(signed(), **{"dsseEnvelope.payload": "e30="})))


def test_certificate_of_somebody_else_is_invalid() -> None:
    other = signed(issue("release", MIDDLE, purposes=CODE_SIGNING))
    material = json.loads(other.to_json())["verificationMaterial"]
    with pytest.raises(SignatureInvalid):
        judged(Bundle.parse(altered(signed(), verificationMaterial=material)))


# Chains that lead nowhere

STRANGER = issue("Acme Root", ca=True)
NOT_CA = issue("not an authority", ROOT)


@pytest.mark.parametrize(
    ("leaf", "chain"),
    [
        (LEAF, (LEAF,)),
        (issue("release", STRANGER, purposes=CODE_SIGNING), (STRANGER,)),
        (issue("release", purposes=CODE_SIGNING), ()),
        (issue("release", NOT_CA, purposes=CODE_SIGNING), (NOT_CA,)),
    ],
    ids=["intermediate-missing", "root-of-a-stranger", "self-signed", "issued-by-a-leaf"],
)
def test_chain_that_leads_to_no_trusted_root_is_not_trusted(leaf: Holder, chain: tuple[Holder, ...]) -> None:
    with pytest.raises(IdentityMismatch, match="trusted root"):
        judged(signed(leaf, *chain))


def test_missing_issuer_is_told() -> None:
    with pytest.raises(IdentityMismatch, match="nor those in the bundle have its issuer"):
        judged(signed(LEAF, LEAF))


def test_path_length_is_kept() -> None:
    short = issue("short", ROOT, ca=True, path_length=0)
    below = issue("below", short, ca=True)
    with pytest.raises(IdentityMismatch):
        judged(signed(issue("release", below, purposes=CODE_SIGNING), below, short))


@pytest.mark.parametrize(
    "limits",
    [
        {"permitted_subtrees": [x509.DirectoryName(x509.Name([]))], "excluded_subtrees": None},
        {"permitted_subtrees": None, "excluded_subtrees": [x509.DirectoryName(LEAF.certificate.subject)]},
        {"permitted_subtrees": None, "excluded_subtrees": [x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))]},
    ],
)
@pytest.mark.parametrize("critical", [True, False])
def test_limit_of_an_authority_that_cannot_be_judged_is_not_overlooked(limits: dict[str, Any], critical: bool) -> None:
    constraints = x509.NameConstraints(**limits)
    middle = issue("Acme Signing", ROOT, ca=True, extra=(constraints,), extra_critical=critical)
    with pytest.raises(IdentityMismatch, match="constraint"):
        judged(signed(issue("release", middle, purposes=CODE_SIGNING), middle))


@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize(("name", "fits"), [("release@acme.example", True), ("release@other.example", False)])
def test_names_that_an_authority_may_certify_are_kept(name: str, fits: bool, critical: bool) -> None:
    limits = x509.NameConstraints(permitted_subtrees=[x509.RFC822Name("acme.example")], excluded_subtrees=None)
    middle = issue("Acme Signing", ROOT, ca=True, extra=(limits,), extra_critical=critical)
    bundle = signed(issue("release", middle, purposes=CODE_SIGNING, names=(x509.RFC822Name(name),)), middle)
    if fits:
        assert judged(bundle).signed_by.name == name
    else:
        with pytest.raises(IdentityMismatch, match="name constraints"):
            judged(bundle)


def test_authority_for_web_servers_only_certifies_nobody_who_signs_code() -> None:
    middle = issue("Acme Web", ROOT, ca=True, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))
    with pytest.raises(IdentityMismatch, match="does not let it certify who signs code"):
        judged(signed(issue("release", middle, purposes=CODE_SIGNING), middle))


@pytest.mark.parametrize("purpose", [ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
def test_authority_for_code_certifies_who_signs_it(purpose: x509.ObjectIdentifier) -> None:
    middle = issue("Acme Code", ROOT, ca=True, purposes=(purpose, ExtendedKeyUsageOID.SERVER_AUTH))
    assert judged(signed(issue("release", middle, purposes=CODE_SIGNING), middle)).signed_by.name == "release"


def test_authority_that_may_not_certify_is_none() -> None:
    weak = issue("weak", ROOT, ca=True, key_usage=usage(sign=True, certify=False))
    with pytest.raises(IdentityMismatch):
        judged(signed(issue("release", weak, purposes=CODE_SIGNING), weak))


def test_authority_that_does_not_say_what_its_key_is_for_certifies() -> None:
    root = issue("Acme Root", ca=True, with_usage=False)
    middle = issue("Acme Signing", root, ca=True, with_usage=False)
    leaf = issue("release", middle, purposes=CODE_SIGNING)
    assert judged(signed(leaf, middle), roots=(root,)).statement == STATEMENT


@pytest.mark.parametrize("root", [False, True])
def test_authority_whose_key_is_for_signatures_only_certifies_nobody(root: bool) -> None:
    top = issue("Acme Root", ca=True, key_usage=usage(sign=True) if root else None)
    middle = issue("Acme Signing", top, ca=True, key_usage=None if root else usage(sign=True))
    with pytest.raises(IdentityMismatch, match="certify nobody"):
        judged(signed(issue("release", middle, purposes=CODE_SIGNING), middle), roots=(top,))


def test_unknown_critical_extension_is_not_overlooked() -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    with pytest.raises(VerificationError):
        judged(signed(issue("release", MIDDLE, purposes=CODE_SIGNING, extra=(odd,))))


def test_self_signed_certificate_that_is_trusted_itself_signs() -> None:
    own = issue("release", purposes=CODE_SIGNING)
    assert judged(signed(own, own), roots=(own,)).statement == STATEMENT


def test_old_and_new_roots_overlap() -> None:
    new_root = issue("Acme Root 2", ca=True)
    new = issue("release", new_root, purposes=CODE_SIGNING)
    for bundle in (signed(), signed(new, new_root)):
        assert judged(bundle, roots=(ROOT, new_root)).statement == STATEMENT


# Certificates that are not for this

SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)


@pytest.mark.parametrize(
    "leaf",
    [
        issue("server", MIDDLE, purposes=SERVER),
        issue("both wrong", MIDDLE, purposes=SERVER, key_usage=usage(sign=False)),
        issue("not for signatures", MIDDLE, purposes=CODE_SIGNING, key_usage=usage(sign=False)),
        issue("says nothing", MIDDLE, with_usage=False),
        issue("any purpose", MIDDLE, purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)),
    ],
    ids=lambda holder: holder.certificate.subject.rfc4514_string(),
)
def test_certificate_for_something_else_is_refused(leaf: Holder) -> None:
    with pytest.raises(SignatureInvalid, match="certificate of"):
        judged(signed(leaf))


@pytest.mark.parametrize("purposes", [None, CODE_SIGNING], ids=["any", "code"])
def test_authority_itself_signs_no_models_even_where_its_key_is_for_signatures(purposes: Any) -> None:
    with pytest.raises(SignatureInvalid, match="that of an authority"):
        judged(signed(MIDDLE, MIDDLE))
    both = issue("both", MIDDLE, ca=True, purposes=purposes, key_usage=usage(sign=True, certify=True))
    with pytest.raises(SignatureInvalid, match="that of an authority"):
        judged(signed(both, MIDDLE))


def test_authority_by_name_that_may_certify_nobody_signs_as_a_leaf() -> None:
    leaf = issue("release", MIDDLE, ca=True, purposes=CODE_SIGNING, key_usage=usage(sign=True))
    assert judged(signed(leaf)).statement == STATEMENT
    says_nothing = issue("release", MIDDLE, ca=True, purposes=CODE_SIGNING, with_usage=False)
    with pytest.raises(SignatureInvalid, match="that of an authority"):
        judged(signed(says_nothing))


def test_authority_that_is_trusted_itself_may_sign() -> None:
    alone = issue("release", ca=True, key_usage=usage(sign=True, certify=True))  # as `openssl req -x509` makes it
    assert judged(signed(alone), roots=(alone,)).statement == STATEMENT


def test_certificate_for_signatures_without_purposes_is_enough() -> None:
    assert judged(signed(issue("release", MIDDLE))).statement == STATEMENT


# Time


def test_expired_certificate_is_refused() -> None:
    with pytest.raises(LogProofInvalid, match=r"expired on 2026-12-23, and no timestamp"):
        judged(signed(), now=NOW + timedelta(days=31))


def test_certificate_of_the_future_is_refused() -> None:
    with pytest.raises(LogProofInvalid, match="valid from 2026-10-24 on"):
        judged(signed(), now=NOW - timedelta(days=31))


def test_expired_authority_is_refused() -> None:
    middle = issue("Acme Signing", ROOT, ca=True, until=NOW - timedelta(days=1))
    with pytest.raises(IdentityMismatch):
        judged(signed(issue("release", middle, purposes=CODE_SIGNING), middle))


# Malformed bundles


def with_certificates(*raw: str) -> Bundle:
    chain = {"certificates": [{"rawBytes": text} for text in raw]}
    return Bundle.parse(altered(signed(), verificationMaterial={"x509CertificateChain": chain}))


@pytest.mark.parametrize("raw", ["", "AAAA", "MAA="])
def test_what_is_no_certificate_is_invalid(raw: str) -> None:
    with pytest.raises(SignatureInvalid, match="cannot be read"):
        judged(with_certificates(raw))


def test_endless_chain_is_not_judged() -> None:
    raw = json.loads(signed().to_json())["verificationMaterial"]["x509CertificateChain"]["certificates"][0]["rawBytes"]
    with pytest.raises(Unsupported, match="at most 8"):
        judged(with_certificates(*[raw] * 9))


def test_key_bundle_is_not_a_matter_of_this_method() -> None:
    with pytest.raises(IdentityMismatch, match="public key"):
        judged(sealed(STATEMENT.payload))


def test_key_of_an_unknown_kind_is_unsupported() -> None:
    leaf = issue("release", MIDDLE, key=ec.generate_private_key(ec.SECP256K1()))
    other = CertificateSigner(key=LEAF.key, certificates=(leaf.certificate,)).sign(STATEMENT)
    material = json.loads(other.to_json())["verificationMaterial"]
    with pytest.raises(Unsupported, match="secp256k1"):
        judged(Bundle.parse(altered(signed(), verificationMaterial=material)))


# Files


def test_signer_is_read_from_files(tmp_path: Path) -> None:
    key, certificate = LEAF.write(tmp_path, "release")
    _, middle = MIDDLE.write(tmp_path, "middle")
    _, root = ROOT.write(tmp_path, "root")
    bundle = CertificateSigner.load(key, None, certificate, chain=[middle, middle]).sign(STATEMENT)
    assert len(bundle.certificates) == 2
    verifier = CertificateVerifier(roots=load_roots([root]), accepts=ANYBODY, expected="", now=NOW)
    assert verify_bundle(bundle, [verifier]).statement == STATEMENT


def test_chain_in_the_certificate_file_is_taken_along(tmp_path: Path) -> None:
    key, certificate = LEAF.write(tmp_path, "release")
    certificate.write_bytes(LEAF.pem() + MIDDLE.pem())
    assert judged(CertificateSigner.load(key, None, certificate).sign(STATEMENT)).statement == STATEMENT


def test_certificate_of_another_key_is_noticed_when_signing(tmp_path: Path) -> None:
    key, _ = LEAF.write(tmp_path, "release")
    _, other = MIDDLE.write(tmp_path, "middle")
    with pytest.raises(SigningError, match="not that of the key"):
        CertificateSigner.load(key, None, other)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PUBLIC KEY-----\n", b"\x30\x00"])
def test_file_without_certificates_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "root.pem").write_bytes(content)
    with pytest.raises(TrustError, match=r"root\.pem: no certificate in PEM form in it$"):
        load_roots([tmp_path / "root.pem"])


@pytest.mark.parametrize("content", [b"AAAA\n-----END CERTIFICATE-----\n", b"A"])
def test_damaged_certificate_is_told_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "root.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n" + content)
    with pytest.raises(TrustError, match=r"root\.pem: a certificate in it cannot be read: [^/]+$"):
        load_roots([tmp_path / "root.pem"])


def test_file_of_many_roots_is_read(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_bytes((b"# a root\n" * 100 + ROOT.pem()) * 150)
    assert load_roots([tmp_path / "roots.pem"]) == (ROOT.certificate,)
    (tmp_path / "roots.pem").write_bytes(b"#" * (1 << 20) + b"\n" + ROOT.pem())
    with pytest.raises(TrustError, match="larger than 1048576 bytes"):
        load_roots([tmp_path / "roots.pem"])


def test_ed25519_certificate_signs_where_the_library_follows_its_chain() -> None:
    leaf = issue("release", MIDDLE, key=ed25519.Ed25519PrivateKey.generate(), purposes=CODE_SIGNING)
    try:
        assert judged(signed(leaf)).statement == STATEMENT
    except IdentityMismatch as error:
        assert "algorithm" in str(error)  # noqa: PT017 - either it is judged, or the reason is the chain's rules


# Certificates of others


@needs_vectors
@pytest.mark.parametrize("version", ["v0.3.1", "v1.0.0", "v1.0.1", "v1.1.0"])
def test_signatures_of_model_signing_releases_verify(version: str) -> None:
    samples = VECTORS / "oms" / "model-transparency"
    roots = load_roots([samples / "keys" / "certificate" / "ca-cert.pem"])
    bundle = Bundle.parse((samples / f"{version}-certificate" / "model.sig").read_bytes())
    verifier = CertificateVerifier(roots=roots, accepts=Pin(subject="intermediate-ca"), expected="", now=NOW)
    proven = verify_bundle(bundle, [verifier])
    ignored = ["ignore-me"]
    assert not measure_against(
        manifest_of(proven.statement), samples / f"{version}-certificate", ignored=ignored
    ).differences


NVIDIA = VECTORS / "oms" / "nvidia-skills"
CASES = json.loads((NVIDIA / "expected.json").read_bytes())["cases"] if NVIDIA.is_dir() else {}


@needs_vectors
@pytest.mark.parametrize("case", CASES)
def test_public_signatures_of_nvidia_get_their_verdict(case: str) -> None:
    roots = load_roots([NVIDIA / "nv-agent-root-cert.pem"])
    verifier = CertificateVerifier(roots=roots, accepts=ANYBODY, expected="anybody", now=NOW)
    bundle = Bundle.parse((NVIDIA / case / "skill.oms.sig").read_bytes())
    if CASES[case]["expected"] == "invalid":
        with pytest.raises(IdentityMismatch, match="trusted root"):
            verify_bundle(bundle, [verifier])
        return
    proven = verify_bundle(bundle, [verifier])
    manifest = manifest_of(proven.statement)
    assert len(manifest.entries) == CASES[case]["resources"]
    assert not measure_against(manifest, NVIDIA / case, ignored=["skill.oms.sig"]).differences


def test_a_common_name_that_reads_like_a_subject_is_not_that_subject() -> None:
    forged = issue("O=Acme,CN=release", MIDDLE, purposes=CODE_SIGNING)
    with pytest.raises(IdentityMismatch):
        judged(signed(forged), pin=Pin(subject="O=Acme,CN=release"))


@pytest.mark.parametrize("first", range(8))
def test_a_damaged_certificate_ends_in_a_documented_error(first: int) -> None:
    bundle = json.loads(signed().to_json())
    certificate = bundle["verificationMaterial"]["x509CertificateChain"]["certificates"][0]
    good = base64.b64decode(certificate["rawBytes"])
    # The version, then bytes all over: names, times, key and extensions are each parsed at another moment.
    places = (good.index(b"\xa0\x03\x02\x01") + 4, *range(first, len(good), 8))
    for place in places:
        damaged = bytearray(good)
        damaged[place] ^= 0x55
        certificate["rawBytes"] = base64.b64encode(bytes(damaged)).decode()
        with pytest.raises(AttestationError):
            judged(Bundle.parse(json.dumps(bundle).encode()))
