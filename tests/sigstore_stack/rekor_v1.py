"""Rekor v1: a transparency log of dsse 0.0.1 and hashedrekord 0.0.1 entries that promises and proves what it took in.

https://github.com/sigstore/rekor openapi.yaml, pkg/types/{dsse,hashedrekord} · the promise is a signed entry timestamp,
a signature over the canonical JSON of body, time, log and index, and the only time such a log gives · checkpoint: a
signed note with the first bytes of the log's id as its key's hint.
"""

import base64
import binascii
import hashlib
import json
import threading
import time
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.sigstore_stack.oidc import spki
from tests.sigstore_stack.rekor import canonical, inclusion_path, leaf_hash, tree_hash
from tests.sigstore_stack.service import Refusal, Request, Response, Service, answer_json

TREE = 1193050959916656506
EARLIER_SHARDS = 1000
"""entries of trees before this one: the index in the log is not that in its tree"""


class RekorV1(Service):
    """The log, in memory, with an ECDSA key."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.host = self.url.removeprefix("http://")
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._stranger = ec.generate_private_key(ec.SECP256R1())
        self.promise_by_stranger = False
        """sign promises with a key that nobody trusts"""
        self.checkpoint_by_stranger = False
        """sign checkpoints with a key that nobody trusts"""
        self.offset = 0
        """seconds that the log's clock is fast"""
        self._bodies: list[bytes] = []
        self._lock = threading.Lock()

    @property
    def log_id(self) -> bytes:
        return hashlib.sha256(spki(self.key.public_key())).digest()

    def _answer(self, request: Request) -> Response:
        if (request.method, request.path) != ("POST", "/api/v1/log/entries"):
            raise Refusal(404, request.path)
        try:
            body = _body(request.document())
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise Refusal(400, f"malformed entry: {error}") from error
        except InvalidSignature as error:
            raise Refusal(400, "the signature is not the certificate's") from error
        with self._lock:
            if body in self._bodies:
                raise Refusal(409, "an equivalent entry already exists in the transparency log")
            self._bodies.append(body)
            return answer_json(self._entry(len(self._bodies) - 1), 201)

    def _entry(self, index: int) -> dict[str, Any]:
        leaves = [leaf_hash(body) for body in self._bodies]
        entry: dict[str, Any] = {
            "body": base64.b64encode(self._bodies[index]).decode(),
            "integratedTime": int(time.time()) + self.offset,
            "logID": self.log_id.hex(),
            "logIndex": EARLIER_SHARDS + index,
        }
        promise = self._sign(canonical(entry), by_stranger=self.promise_by_stranger)
        entry["verification"] = {
            "signedEntryTimestamp": base64.b64encode(promise).decode(),
            "inclusionProof": {
                "checkpoint": self._checkpoint(leaves),
                "hashes": [node.hex() for node in inclusion_path(index, leaves)],
                "logIndex": index,
                "rootHash": tree_hash(leaves).hex(),
                "treeSize": len(leaves),
            },
        }
        return {f"{TREE:016x}{leaves[index].hex()}": entry}

    def _checkpoint(self, leaves: list[bytes]) -> str:
        note = f"{self.host} - {TREE}\n{len(leaves)}\n{base64.b64encode(tree_hash(leaves)).decode()}\n"
        signature = self.log_id[:4] + self._sign(note.encode(), by_stranger=self.checkpoint_by_stranger)
        return f"{note}\n\N{EM DASH} {self.host} {base64.b64encode(signature).decode()}\n"

    def _sign(self, data: bytes, *, by_stranger: bool) -> bytes:
        return (self._stranger if by_stranger else self.key).sign(data, ec.ECDSA(hashes.SHA256()))


def _body(document: dict[str, Any]) -> bytes:
    """Return the entry to log, after its signature has been checked with the certificate that came with it."""
    spec = document["spec"]
    match document:
        case {"kind": "dsse", "apiVersion": "0.0.1"}:
            logged = _dsse(spec["proposedContent"])
        case {"kind": "hashedrekord", "apiVersion": "0.0.1"}:
            logged = _hashedrekord(spec)
        case _:
            raise Refusal(400, "only dsse and hashedrekord 0.0.1")
    return canonical({"apiVersion": "0.0.1", "kind": document["kind"], "spec": logged})


def _dsse(proposed: dict[str, Any]) -> dict[str, Any]:
    envelope = json.loads(proposed["envelope"])
    payload = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    (verifier,), (signature,) = proposed["verifiers"], envelope["signatures"]
    _key(verifier).verify(base64.b64decode(signature["sig"]), signed, ec.ECDSA(hashes.SHA256()))
    return {
        "envelopeHash": _sha256(proposed["envelope"].encode()),
        "payloadHash": _sha256(payload),
        "signatures": [{"signature": signature["sig"], "verifier": verifier}],
    }


def _hashedrekord(spec: dict[str, Any]) -> dict[str, Any]:
    digest, signature = spec["data"]["hash"], spec["signature"]
    if digest["algorithm"] != "sha256":
        raise Refusal(400, "only sha256")
    _key(signature["publicKey"]["content"]).verify(
        base64.b64decode(signature["content"]), bytes.fromhex(digest["value"]), ec.ECDSA(Prehashed(hashes.SHA256()))
    )
    return {
        "data": {"hash": {"algorithm": "sha256", "value": digest["value"]}},
        "signature": {
            "content": signature["content"],
            "publicKey": {"content": signature["publicKey"]["content"]},
        },
    }


def _key(verifier: str) -> ec.EllipticCurvePublicKey:
    key = x509.load_pem_x509_certificate(base64.b64decode(verifier, validate=True)).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Refusal(400, "not an elliptic curve key")
    return key


def _sha256(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
