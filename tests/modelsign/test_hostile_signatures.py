"""Signatures by somebody who may write the model and its signature, and holds no key: nothing forged is believed."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from modelsign.policy.decision import Decision
from modelsign.signing import sign
from modelsign.verification import verify
from tests.builders.signatures import write_key, write_model

Forge: TypeAlias = Callable[[str, str, str], str | bytes]
"""From a good bundle, its payload, and a payload that fits the changed model, to a hostile bundle"""


def envelope(**changes: Any) -> Forge:
    """Return what replaces fields of the envelope; a value may be made of the two payloads."""

    def forge(bundle: str, good: str, forged: str) -> str:
        document = json.loads(bundle)
        document["dsseEnvelope"].update(
            {name: value(good, forged) if callable(value) else value for name, value in changes.items()}
        )
        return json.dumps(document)

    return forge


def beside(field: str) -> Forge:
    """Return what adds a second payload right before the good one."""
    return lambda bundle, _good, forged: bundle.replace('"payload":"', f'"{field}":"{forged}","payload":"', 1)


def ending(text: str) -> Forge:
    """Return what adds a field with ``text`` as its value."""
    return lambda bundle, _good, _forged: f'{bundle[:-1]},"x":{text}}}'


def signature(raw: bytes) -> Forge:
    return envelope(signatures=[{"sig": base64.b64encode(raw).decode()}])


ORDER = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")  # of P-256

REFUSED: dict[str, Forge] = {
    "payload of the changed model": envelope(payload=lambda _, forged: forged),
    "payload twice, the forged first": beside("payload"),
    "payload twice, the forged last": lambda bundle, good, forged: bundle.replace(
        f'"payload":"{good}"', f'"payload":"{good}","payload":"{forged}"', 1
    ),
    "payload twice, one escaped": beside("payl\\u006fad"),
    "payload in capitals only": lambda bundle, _good, _forged: bundle.replace('"payload"', '"Payload"', 1),
    "payload behind another": envelope(payload=lambda good, forged: good + forged),
    "payload before another": envelope(payload=lambda good, forged: forged + good),
    "payload with a line end": envelope(payload=lambda good, _: f"{good[:40]}\n{good[40:]}"),
    "payload with a space": envelope(payload=lambda good, _: f"{good} "),
    "payload with much padding": envelope(payload=lambda good, _: f"{good}===="),
    "payload in a list": envelope(payload=lambda good, _: [good]),
    "another payload type": envelope(payloadType="application/json"),
    "payload type with lengths in it": envelope(payloadType="application/vnd.in-toto+json 2 {}"),
    "no signature": envelope(signatures=[]),
    "empty signature": signature(b""),
    "signature of zeros": signature(bytes(64)),
    "signature of zeros, DER": signature(bytes.fromhex("3006020100020100")),
    "signature of the group's order": signature(ORDER * 2),
    "envelope under another name": lambda bundle, _good, _forged: bundle.replace("dsseEnvelope", "dsse_envelope", 1),
    "NaN": ending("NaN"),
    "number without end": ending("1e999"),
    "integer of thousands of digits": ending("9" * 5000),
    "depth": ending("[" * 50_000 + "]" * 50_000),
    "half a character": ending('"\\ud800"'),
    "byte order mark": lambda bundle, _good, _forged: f"\ufeff{bundle}",
    "UTF-16": lambda bundle, _good, _forged: bundle.encode("utf-16"),
    "something behind it": lambda bundle, _good, _forged: f"{bundle}x",
    "two bundles": lambda bundle, _good, _forged: bundle * 2,
    "list": lambda bundle, _good, _forged: f"[{bundle}]",
    "NUL": lambda bundle, _good, _forged: f"{bundle}\0",
}

HARMLESS: dict[str, Forge] = {
    "payload in capitals beside": beside("Payload"),
    "payload without padding": envelope(payload=lambda good, _: good.rstrip("=")),
    "payload with the URL's alphabet": envelope(payload=lambda good, _: good.replace("+", "-").replace("/", "_")),
    "envelope in the envelope": envelope(dsseEnvelope=lambda _, forged: {"payload": forged}),
    "unknown field": ending("[1, 2]"),
}


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path, str, str, str]:
    """A model as signed, the key to trust, its bundle, its payload, and a payload that fits `changed`."""
    private, public = write_key(tmp_path)
    place = write_model(tmp_path / "model")
    sign(place, key=private)
    bundle = (place / "model.sig").read_text().strip()
    good = json.loads(bundle)["dsseEnvelope"]["payload"]
    statement = json.loads(base64.b64decode(good))
    resources = statement["predicate"]["resources"]
    for resource in resources:
        if resource["name"] == "w.bin":
            resource["digest"] = hashlib.sha256(b"evil").hexdigest()
    root = hashlib.sha256(b"".join(bytes.fromhex(resource["digest"]) for resource in resources))
    statement["subject"][0]["digest"]["sha256"] = root.hexdigest()
    return place, public, bundle, good, base64.b64encode(json.dumps(statement).encode()).decode()


def judged(place: Path, public: Path, forged: str | bytes) -> Decision:
    (place / "model.sig").write_bytes(forged if isinstance(forged, bytes) else forged.encode())
    return verify(place, keys=[public], scan=False)


@pytest.mark.parametrize("name", REFUSED)
def test_forged_signature_is_refused_whatever_the_model(signed: tuple[Path, Path, str, str, str], name: str) -> None:
    place, public, bundle, good, forged = signed
    assert not judged(place, public, REFUSED[name](bundle, good, forged)).allowed
    (place / "w.bin").write_bytes(b"evil")
    assert not judged(place, public, REFUSED[name](bundle, good, forged)).allowed


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_added_to_a_signature_changes_nothing(signed: tuple[Path, Path, str, str, str], name: str) -> None:
    place, public, bundle, good, forged = signed
    assert judged(place, public, HARMLESS[name](bundle, good, forged)).allowed
    (place / "w.bin").write_bytes(b"evil")
    assert not judged(place, public, HARMLESS[name](bundle, good, forged)).allowed


@pytest.mark.parametrize("name", ["model.sig", "claims.jsonl"])
def test_directory_in_the_place_of_a_file_that_is_left_out_hides_nothing(
    signed: tuple[Path, Path, str, str, str], tmp_path: Path, name: str
) -> None:
    place, public, *_ = signed
    (place / "model.sig").rename(tmp_path / "model.sig")
    (place / name).mkdir()
    (place / name / "evil.py").touch()
    decision = verify(place, keys=[public], signature=tmp_path / "model.sig", scan=False)
    assert [reason.subject for reason in decision.reasons if reason.denies] == [f"{name}/evil.py"]
