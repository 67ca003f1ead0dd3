"""Rekor v2: a transparency log of hashedrekord 0.0.2 entries with inclusion proofs and a signed checkpoint.

https://github.com/sigstore/rekor-tiles/blob/main/CLIENTS.md · Merkle tree: RFC 6962 section 2.1 · checkpoint: the
signed note of https://c2sp.org/tlog-checkpoint · tiles: https://c2sp.org/tlog-tiles (the first tile of each kind only).
"""

import base64
import binascii
import hashlib
import json
import threading
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.sigstore_stack.service import Refusal, Request, Response, Service, answer_json

TILE = 256
ED25519_NOTE = 1
"""type of an Ed25519 key in a signed note"""


class Rekor(Service):
    """The log, in memory, with an Ed25519 key."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        # Clients look for the signature of the host that the trusted root names.
        self.origin = self.url.removeprefix("http://")
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.checkpoint_by_stranger = False
        """sign checkpoints with a key that nobody trusts"""
        self.other_entry = False
        """answer with the body of the entry before"""
        self.malformed = False
        """answer with JSON that is no entry"""
        self._entries: list[bytes] = []
        self._lock = threading.Lock()

    @property
    def log_id(self) -> bytes:
        return log_id(self.origin, self.key.public_key())

    def _answer(self, request: Request) -> Response:
        match request.method, request.path.removeprefix("/api/v2/").split("/"):
            case "POST", ["log", "entries"]:
                body = _canonical_body(request.document())
                if self.malformed:
                    return answer_json({"logIndex": "many"})
                with self._lock:
                    self._entries.append(body)
                    return answer_json(self._entry(len(self._entries) - 1), 201)
            case "GET", ["checkpoint"]:
                return Response(body=self.checkpoint().encode(), headers={"Content-Type": "text/plain"})
            case "GET", ["tile", "0", *name]:
                leaves = [leaf_hash(entry) for entry in self._first(name)]
                return Response(body=b"".join(leaves))
            case "GET", ["tile", "entries", *name]:
                return Response(body=b"".join(len(body).to_bytes(2, "big") + body for body in self._first(name)))
            case _:
                raise Refusal(404, request.path)

    def _first(self, name: list[str]) -> list[bytes]:
        """Return the entries of the full tile `000` or of the partial one `000.p/WIDTH`."""
        match name:
            case ["000"]:
                wanted = TILE
            case ["000.p", width] if width.isdecimal():
                wanted = int(width)
            case _:
                raise Refusal(404, "/".join(name))
        if wanted > min(TILE, len(self._entries)):
            raise Refusal(404, "the log is not that long")
        return self._entries[:wanted]

    def checkpoint(self) -> str:
        """Return the signed note over the present tree."""
        size = len(self._entries)
        tree = tree_hash([leaf_hash(entry) for entry in self._entries])
        note = f"{self.origin}\n{size}\n{_base64(tree)}\n"
        key = ed25519.Ed25519PrivateKey.generate() if self.checkpoint_by_stranger else self.key
        signature = self.log_id[:4] + key.sign(note.encode())
        return f"{note}\n\N{EM DASH} {self.origin} {_base64(signature)}\n"

    def _entry(self, index: int) -> dict[str, Any]:
        leaves = [leaf_hash(entry) for entry in self._entries]
        body = self._entries[index - 1 if self.other_entry and index else index]
        return {
            "logIndex": str(index),
            "logId": {"keyId": _base64(self.log_id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": _base64(tree_hash(leaves)),
                "treeSize": str(len(leaves)),
                "hashes": [_base64(node) for node in inclusion_path(index, leaves)],
                "checkpoint": {"envelope": self.checkpoint()},
            },
            "canonicalizedBody": _base64(body),
        }


def log_id(origin: str, key: ed25519.Ed25519PublicKey) -> bytes:
    """Return the id of a log: the untruncated key id of its signed note."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(origin.encode() + b"\n" + bytes((ED25519_NOTE,)) + raw).digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_hash(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = _split(len(leaves))
    return _node_hash(tree_hash(leaves[:middle]), tree_hash(leaves[middle:]))


def inclusion_path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if index < middle:
        return [*inclusion_path(index, leaves[:middle]), tree_hash(leaves[middle:])]
    return [*inclusion_path(index - middle, leaves[middle:]), tree_hash(leaves[:middle])]


def _split(size: int) -> int:
    """Return the largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def canonical(document: object) -> bytes:
    """Return JSON as the log hashes it; RFC 8785 for documents of ASCII strings."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _canonical_body(document: dict[str, Any]) -> bytes:
    """Return the entry to log, after checking that the signature is the certificate's over the digest."""
    match document:
        case {
            "hashedRekordRequestV002": {
                "digest": str(digest),
                "signature": {
                    "content": str(signature),
                    "verifier": {"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": str(raw)}},
                },
            }
        }:
            pass
        case _:
            raise Refusal(400, "only hashedRekordRequestV002 with a P-256 certificate")
    try:
        key = x509.load_der_x509_certificate(base64.b64decode(raw, validate=True)).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Refusal(400, "not an elliptic curve key")
        key.verify(base64.b64decode(signature), base64.b64decode(digest), ec.ECDSA(Prehashed(hashes.SHA256())))
    except (ValueError, binascii.Error) as error:
        raise Refusal(400, f"malformed request: {error}") from error
    except InvalidSignature as error:
        raise Refusal(400, "the signature is not the certificate's over the digest") from error
    return canonical(
        {
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {
                "hashedRekordV002": {
                    "data": {"algorithm": "SHA2_256", "digest": digest},
                    "signature": {
                        "content": signature,
                        "verifier": {
                            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                            "x509Certificate": {"rawBytes": raw},
                        },
                    },
                }
            },
        }
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
