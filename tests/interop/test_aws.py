"""AWS's own client library (boto3) signs for us, against a local server that speaks AWS KMS's protocol.

The server signs digests as AWS does; moto's hashes them once more, so that its signatures hold for nothing.
API: https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

import modelsign
from attestations import algorithms
from modelsign.cli.main import invoke
from tests.builders.signatures import write_model
from tests.peers import peer_python
from tests.sigstore_stack.service import Request, Response, Service, answer_json

pytestmark = pytest.mark.interop

KEYS: dict[str, tuple[Any, str]] = {
    "p256": (ec.generate_private_key(ec.SECP256R1()), "ECDSA_SHA_256"),
    "p384": (ec.generate_private_key(ec.SECP384R1()), "ECDSA_SHA_384"),
    "rsa": (rsa.generate_private_key(65537, 2048), "RSASSA_PSS_SHA_256"),
}
HASHES: dict[str, Any] = {"256": hashes.SHA256, "384": hashes.SHA384}


class KeyService(Service):
    """AWS KMS's `GetPublicKey` and `Sign`."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    def _answer(self, request: Request) -> Response:
        asked = request.document()
        if asked["KeyId"] not in KEYS:
            said = {"__type": "NotFoundException", "message": f"Key '{asked['KeyId']}' does not exist"}
            return answer_json(said, 400)
        key, algorithm = KEYS[asked["KeyId"]]
        match request.headers["x-amz-target"]:
            case "TrentService.GetPublicKey":
                form = serialization.PublicFormat.SubjectPublicKeyInfo
                der = key.public_key().public_bytes(serialization.Encoding.DER, form)
                return answer_json({"PublicKey": base64.b64encode(der).decode(), "SigningAlgorithms": [algorithm]})
            case "TrentService.Sign":
                assert (asked["MessageType"], asked["SigningAlgorithm"]) == ("DIGEST", algorithm)
                signature = self._sign(key, base64.b64decode(asked["Message"]), HASHES[algorithm[-3:]]())
                return answer_json({"Signature": base64.b64encode(signature).decode()})
            case _:
                return answer_json({"__type": "UnknownOperationException"}, 400)

    def _sign(self, key: Any, digest: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(digest, ec.ECDSA(Prehashed(algorithm)))
        pss = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=padding.PSS.DIGEST_LENGTH)
        return bytes(key.sign(digest, pss, Prehashed(algorithm)))


@pytest.fixture
def service() -> Iterator[KeyService]:
    service = KeyService()
    service.start()
    yield service
    service.stop()


def sign(service: KeyService, model: Path, key: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Sign from a shell where boto3 is installed."""
    (packages,) = (peer_python("boto3").parents[1] / "lib").glob("python3*/site-packages")
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(modelsign.__file__).parents[1]), str(packages)]),
        "AWS_ENDPOINT_URL_KMS": service.url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **environment,
    }
    command = [sys.executable, "-m", "modelsign", "sign", str(model), "--kms", f"awskms:{key}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables, timeout=300)


@pytest.mark.parametrize("name", KEYS)
def test_key_of_aws_signs_a_model(service: KeyService, tmp_path: Path, name: str) -> None:
    model = write_model(tmp_path / "model")
    public = tmp_path / "aws.pub"
    public.write_bytes(algorithms.public_pem(KEYS[name][0].public_key()))
    done = sign(service, model, name)
    assert done.returncode == 0, done.stderr
    assert invoke(["verify", str(model), "--no-scan", "--key", str(public)]) == 0


def test_refusal_of_aws_is_quoted(service: KeyService, tmp_path: Path) -> None:
    done = sign(service, write_model(tmp_path / "model"), "nothing")
    assert done.returncode != 0
    assert "Key 'nothing' does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_credentials_for_aws_are_explained(service: KeyService, tmp_path: Path) -> None:
    done = sign(service, write_model(tmp_path / "model"), "p256", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert done.returncode != 0
    assert "credentials" in done.stderr.lower()
    assert "Traceback" not in done.stderr
