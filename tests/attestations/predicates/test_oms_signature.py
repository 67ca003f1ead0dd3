import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from attestations.digest import sha256_of
from attestations.errors import EnvelopeError, Unsupported
from attestations.manifest import Manifest, ManifestEntry, measure
from attestations.predicates.oms_signature import manifest_of, manifest_statement
from attestations.statement import Statement
from tests.builders.signatures import oms_payload, resource, write_model
from tests.vectors import VECTORS, needs_vectors


def read(resources: list[Any], **changes: Any) -> Manifest:
    return manifest_of(Statement.parse(oms_payload(resources, **changes)))


def sharded(*names: str, shard_size: Any = 10) -> Manifest:
    serialization = {"method": "shards", "hash_type": "sha256", "allow_symlinks": False, "shard_size": shard_size}
    resources = [resource(name) for name in names]
    return read(resources, predicate={"serialization": serialization, "resources": resources})


def serialized(**changes: Any) -> Manifest:
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, **changes}
    serialization = {key: value for key, value in serialization.items() if value is not ...}
    resources = [resource("w")]
    return read(resources, predicate={"serialization": serialization, "resources": resources})


@pytest.mark.parametrize("options", [{}, {"hash_type": "blake2b"}, {"method": "shards", "shard_size": 4096}])
def test_manifest_is_read_back(tmp_path: Path, options: dict[str, Any]) -> None:
    measured = measure(write_model(tmp_path / "m", {"a/b": b"", "w:1.bin": bytes(9000)}), **options)
    again = manifest_of(Statement.parse(manifest_statement(measured).payload))
    assert [(entry.resource, entry.digest) for entry in again.entries] == [
        (entry.resource, entry.digest) for entry in measured.entries
    ]
    assert (again.root, again.ignored, again.shard_size) == (measured.root, measured.ignored, measured.shard_size)


names = st.lists(st.from_regex(r"[a-z:.]{1,8}x(/[a-z:.]{1,8}x)?", fullmatch=True), min_size=1, max_size=8, unique=True)


@given(names)
def test_every_manifest_is_read_back(listed: list[str]) -> None:
    entries = tuple(ManifestEntry(name=name, digest=sha256_of(name.encode())) for name in listed)
    manifest = Manifest(name="m", entries=entries)
    parents = {name.rpartition("/")[0] for name in listed}
    if parents & set(listed):
        with pytest.raises(EnvelopeError, match="both as a file and as a directory"):
            manifest_of(manifest_statement(manifest))
    else:
        assert manifest_of(Statement.parse(manifest_statement(manifest).payload)) == manifest


def test_payload_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    write_model(tmp_path)
    assert manifest_statement(measure(tmp_path)).payload == manifest_statement(measure(tmp_path, threads=2)).payload


@needs_vectors
@pytest.mark.parametrize("options", [{}, {"method": "shards", "shard_size": 4096}])
def test_statement_keeps_to_the_published_schemas(tmp_path: Path, options: dict[str, Any]) -> None:
    document = json.loads(manifest_statement(measure(write_model(tmp_path), **options)).payload)
    found = [json.loads(path.read_bytes()) for path in (VECTORS / "oms" / "oms-spec" / "schemas").glob("*.json")]
    registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in found)
    statement_schema = next(schema for schema in found if "statement" in schema["$id"])
    Draft202012Validator(statement_schema, registry=registry).validate(document)


@pytest.mark.parametrize(
    "odd",
    [
        "w",
        ["w"],
        None,
        {},
        {"name": "w", "algorithm": "sha256"},
        {"name": 1, "algorithm": "sha256", "digest": "00" * 32},
        {"name": "w", "algorithm": ["sha256"], "digest": "00" * 32},
        {"name": "w", "algorithm": "sha512", "digest": "00" * 64},
        {"name": "w", "algorithm": "sha256", "digest": "00" * 31},
        {"name": "w", "algorithm": "sha256", "digest": "0g" * 32},
        {"name": "w", "algorithm": "sha256", "digest": ["0"] * 64},
    ],
    ids=str,
)
@pytest.mark.parametrize("place", [0, 700, 1500])
def test_one_bad_resource_among_many_is_refused(odd: Any, place: int) -> None:
    resources: list[Any] = [resource(f"w{number}") for number in range(1500)]
    resources.insert(place, odd)
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    with pytest.raises(EnvelopeError) as caught:
        read([resource("w")], predicate={"serialization": serialization, "resources": resources})
    assert "root digest" not in str(caught.value)  # which is another one, too


def test_digest_in_upper_case_among_many_is_read() -> None:
    resources: list[Any] = [resource(f"w{number}") for number in range(1500)]
    resources[3]["digest"] = resources[3]["digest"].upper()
    assert read(resources).entries == read([resource(f"w{number}") for number in range(1500)]).entries


def test_any_order_is_read() -> None:
    assert read([resource("b"), resource("a")]).files() == ("a", "b")


def test_single_file_is_read_under_both_names() -> None:
    assert read([resource(".")]).files() == read([resource("model")]).files() == ("model",)


def test_integers_that_protobuf_made_floats_are_read() -> None:
    assert sharded("w:0:10", shard_size=10.0).shard_size == 10


def test_colons_in_file_names_do_not_confuse() -> None:
    assert sharded("w:1.bin:0:10", "w:1.bin:10:12").files() == ("w:1.bin",)


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "/etc/passwd", "a/../../b", "a//b", "", "a\x1b[2J", "a\nb", "..", "./a", "a/", "\\evil"],
)
def test_name_that_leaves_the_model_or_hides_is_refused(name: str) -> None:
    with pytest.raises(EnvelopeError, match="file name"):
        read([resource(name)])


def test_lone_surrogate_in_a_name_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="not valid Unicode"):
        read([resource("a\ud800")])


def test_same_name_twice_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="twice"):
        read([resource("w", b"good"), resource("w", b"evil")])


def test_same_key_twice_is_refused() -> None:
    payload = oms_payload([resource("w")]).replace(b'"predicateType"', b'"predicateType": "x", "predicateType"')
    with pytest.raises(EnvelopeError, match="twice"):
        Statement.parse(payload)


def test_signature_over_nothing_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="no file at all"):
        read([])


def test_dot_beside_other_files_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="beside other files"):
        read([resource("."), resource("w")])


def test_file_that_is_also_a_directory_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="both as a file and as a directory"):
        read([resource("a"), resource("a/b/c")])


def test_wrong_root_digest_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="root digest"):
        read([resource("w")], root=hashlib.sha256(b"other").hexdigest())


@pytest.mark.parametrize("subject", [[], [{"name": "m", "digest": {"sha256": "00" * 32}}] * 2])
def test_number_of_subjects_other_than_one_is_refused(subject: list[Any]) -> None:
    with pytest.raises(EnvelopeError, match="exactly one subject"):
        read([resource("w")], subject=subject)


def test_subject_without_sha256_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="no sha256 digest"):
        read([resource("w")], subject=[{"name": "m", "digest": {"sha512": "00" * 64}}])


@pytest.mark.parametrize(
    "type_",
    ["https://model_signing/signature/v1.1", "https://model_signing/Digests/v0.1", "https://slsa.dev/provenance/v1"],
)
def test_other_predicate_types_are_unsupported_not_invalid(type_: str) -> None:
    with pytest.raises(Unsupported, match=type_):
        read([resource("w")], predicateType=type_)


@pytest.mark.parametrize("changes", [{"method": "lines"}, {"hash_type": "md5"}, {"hash_type": "sha3"}])
def test_unknown_ways_of_hashing_are_unsupported(changes: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="does not know"):
        serialized(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": ...},
        {"hash_type": ...},
        {"allow_symlinks": ...},
        {"allow_symlinks": "false"},
        {"shard_size": 100},
        {"ignore_paths": "x"},
        {"ignore_paths": [1]},
    ],
)
def test_malformed_serialization_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EnvelopeError):
        serialized(**changes)


@pytest.mark.parametrize(
    "item",
    [
        7,
        {},
        {"name": "w"},
        resource("w", digest="xyz"),
        resource("w", digest="00"),
        resource("w", algorithm="blake2b"),
        {**resource("w"), "name": 7},
        resource("w", digest=7),
    ],
)
def test_malformed_resource_is_refused(item: Any) -> None:
    with pytest.raises(EnvelopeError):
        read([item], root="00" * 32)


@pytest.mark.parametrize("size", [0, -1, 1.5, "10", True, None, 2**63])
def test_shard_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(EnvelopeError, match="shard_size"):
        sharded("w:0:10", shard_size=size)


@pytest.mark.parametrize(
    "names",
    [
        ["w:10:20"],
        ["w:0:10", "w:20:30"],
        ["w:0:5", "w:5:10"],
        ["w:0:20"],
        ["w:0:10", "w:5:15"],
        ["w:0:10", "w:10:10"],
        ["w:0:0", "w:0:10"],
    ],
)
def test_shards_with_gaps_or_overlaps_are_refused(names: list[str]) -> None:
    with pytest.raises(EnvelopeError, match="do not cover it"):
        sharded(*names)


@pytest.mark.parametrize("name", ["w", "w:0", "w:0:x", "w:-1:5", "w:0:1e1", ":0:5", "w: 0:5", "w:00:5", "w:0:\u0665"])
def test_shard_without_bounds_is_refused(name: str) -> None:
    with pytest.raises(EnvelopeError, match="not a shard"):
        sharded(name)


@needs_vectors
@pytest.mark.parametrize("kind", ["valid", "invalid-payload"])
def test_examples_of_the_specification_get_their_verdict(kind: str) -> None:
    from attestations.bundle import Bundle

    for path in sorted((VECTORS / "oms" / "oms-spec" / kind).glob("*.json")):
        statement = Statement.parse(Bundle.parse(path.read_bytes()).envelope.payload)
        if kind == "valid":
            assert manifest_of(statement).entries
        else:
            with pytest.raises(Unsupported):
                manifest_of(statement)
