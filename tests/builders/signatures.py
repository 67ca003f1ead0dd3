"""Models on disk, keys, and signed bundles, good and bad, for the tests of signing and verifying."""

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from attestations import algorithms
from attestations.bundle import Bundle
from attestations.envelope import Envelope, EnvelopeSignature, pae
from attestations.key_files import private_pem
from attestations.signers.key import KeyVerifier
from attestations.uris import OMS_SIGNATURE_V1, PAYLOAD_TYPE, STATEMENT_V1

FILES = {"a/b.bin": b"bee", "a.txt": b"text", "config.json": b"{}", "w.bin": b"weights" * 1000}


def write_model(directory: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Write files below ``directory`` and return it."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def key(name: str = "release") -> ec.EllipticCurvePrivateKey:
    """Return a P-256 key, the same one for the same name within a run."""
    return _key(name)


@functools.cache
def _key(_: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def verifier(name: str = "release") -> KeyVerifier:
    return KeyVerifier(key=key(name).public_key(), name=name)


def write_key(directory: Path, name: str = "release", passphrase: bytes | None = None) -> tuple[Path, Path]:
    """Write a key pair and return the paths of its private and public half."""
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    private.write_bytes(private_pem(key(name), passphrase))
    public.write_bytes(algorithms.public_pem(key(name).public_key()))
    return private, public


def resource(name: str, content: bytes = b"", **changes: object) -> dict[str, Any]:
    return {"name": name, "algorithm": "sha256", "digest": hashlib.sha256(content).hexdigest(), **changes}


def oms_payload(resources: list[Any], *, root: str | None = None, **changes: Any) -> bytes:
    """Return an OMS statement; ``changes`` replace its top-level fields (``...`` removes one)."""
    if root is None:
        root = hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in resources)).hexdigest()
    statement = {
        "_type": STATEMENT_V1,
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": OMS_SIGNATURE_V1,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": resources,
        },
        **changes,
    }
    return json.dumps({name: value for name, value in statement.items() if value is not ...}).encode()


def sealed(payload: bytes, *, name: str = "release", payload_type: str = PAYLOAD_TYPE) -> Bundle:
    """Return ``payload`` in a bundle signed by a key."""
    signature = algorithms.sign(key(name), pae(payload_type, payload))
    envelope = Envelope(
        payload=payload, payload_type=payload_type, signatures=(EnvelopeSignature(signature=signature),)
    )
    return Bundle.of_key(envelope, hint=algorithms.key_hint(key(name).public_key()))


def altered(bundle: Bundle, **changes: Any) -> bytes:
    """Return the JSON of a bundle with fields replaced by their dotted path: ``{"dsseEnvelope.payloadType": …}``."""
    document = json.loads(bundle.to_json())
    for path, value in changes.items():
        parent = document
        *above, last = path.split(".")
        for step in above:
            parent = parent[step]
        if value is ...:
            parent.pop(last, None)
        else:
            parent[last] = value
    return json.dumps(document).encode()
