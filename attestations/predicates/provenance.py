"""The predicate SLSA provenance v1: from what, how and by whom something was made (here: a conversion).

Only the fields a verifier may rely on are typed; `external` and `internal` parameters belong to the build type and are
judged by whoever knows it. Source: SLSA spec v1.2, build-provenance.md ("REQUIRED for SLSA Build L1").
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Self

from attestations.predicates import fields
from attestations.records import dataclass
from attestations.strict_json import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A file that went in or came out (in-toto ResourceDescriptor, the part used here)."""

    name: str
    sha256: str
    uri: str | None = None
    annotations: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return the descriptor as JSON values."""
        value: dict[str, Json] = {"name": self.name, "digest": {"sha256": self.sha256}}
        if self.uri is not None:
            value["uri"] = self.uri
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value

    @classmethod
    def parse(cls, descriptor: Mapping[str, Json], where: str) -> Self:
        """Read a descriptor; raises `EnvelopeError`."""
        annotations = descriptor.get("annotations")
        return cls(
            name=fields.text(descriptor, "name", where),
            sha256=fields.sha256(descriptor, "digest", where),
            uri=None if descriptor.get("uri") is None else fields.text(descriptor, "uri", where),
            annotations={} if annotations is None else fields.mapping(annotations, f"{where}.annotations"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The content of a provenance predicate."""

    build_type: str
    external_parameters: Mapping[str, Json]
    """what the caller chose; a verifier must know every one of them (SLSA: SHOULD reject unknown ones)"""
    internal_parameters: Mapping[str, Json]
    dependencies: tuple[Resource, ...]
    builder: str
    builder_version: Mapping[str, str]
    byproducts: tuple[Resource, ...] = ()
    started: datetime | None = None
    finished: datetime | None = None

    def to_predicate(self) -> dict[str, Json]:
        """Return the predicate as JSON values, resources in order of name."""
        metadata: dict[str, Json] = {}
        if self.started is not None:
            metadata["startedOn"] = fields.rfc3339(self.started)
        if self.finished is not None:
            metadata["finishedOn"] = fields.rfc3339(self.finished)
        details: dict[str, Json] = {"builder": {"id": self.builder, "version": dict(self.builder_version)}}
        if metadata:
            details["metadata"] = metadata
        if self.byproducts:
            details["byproducts"] = [resource.to_json() for resource in _by_name(self.byproducts)]
        return {
            "buildDefinition": {
                "buildType": self.build_type,
                "externalParameters": dict(self.external_parameters),
                "internalParameters": dict(self.internal_parameters),
                "resolvedDependencies": [resource.to_json() for resource in _by_name(self.dependencies)],
            },
            "runDetails": details,
        }

    @classmethod
    def parse(cls, predicate: Mapping[str, Json]) -> Self:
        """Read a predicate as its required fields ask.

        Raises:
            EnvelopeError: a field is missing or mistyped.
        """
        definition = fields.member(predicate, "buildDefinition", "predicate")
        details = fields.member(predicate, "runDetails", "predicate")
        builder = fields.member(details, "builder", "predicate.runDetails")
        where = "predicate.buildDefinition"
        return cls(
            build_type=fields.text(definition, "buildType", where),
            external_parameters=fields.member(definition, "externalParameters", where),
            internal_parameters=_optional_member(definition, "internalParameters", where),
            dependencies=_resources(definition, "resolvedDependencies", where),
            builder=fields.text(builder, "id", "predicate.runDetails.builder"),
            builder_version=_versions(builder),
            byproducts=_resources(details, "byproducts", "predicate.runDetails"),
            started=_optional_time(details, "startedOn"),
            finished=_optional_time(details, "finishedOn"),
        )


def _by_name(resources: tuple[Resource, ...]) -> list[Resource]:
    return sorted(resources, key=lambda resource: (resource.name, resource.sha256))


def _optional_member(parent: Mapping[str, Json], key: str, where: str) -> Mapping[str, Json]:
    return {} if parent.get(key) is None else fields.member(parent, key, where)


def _resources(parent: Mapping[str, Json], key: str, where: str) -> tuple[Resource, ...]:
    """Return the resources that carry a name and a SHA-256; others (a git commit, say) bind nothing here."""
    if parent.get(key) is None:
        return ()
    values = [fields.mapping(value, f"{where}.{key}[]") for value in fields.sequence(parent, key, where)]
    return tuple(Resource.parse(value, f"{where}.{key}[]") for value in values if _names_a_file(value))


def _names_a_file(descriptor: Mapping[str, Json]) -> bool:
    digest = descriptor.get("digest")
    return isinstance(descriptor.get("name"), str) and isinstance(digest, dict) and "sha256" in digest


def _versions(builder: Mapping[str, Json]) -> dict[str, str]:
    versions = _optional_member(builder, "version", "predicate.runDetails.builder")
    return {name: fields.text(versions, name, "predicate.runDetails.builder.version") for name in versions}


def _optional_time(details: Mapping[str, Json], key: str) -> datetime | None:
    metadata = _optional_member(details, "metadata", "predicate.runDetails")
    return None if metadata.get(key) is None else fields.time(metadata, key, "predicate.runDetails.metadata")
