"""A conversion record as SLSA provenance: these safetensors came from that checkpoint, bit by bit, and nothing ran.

Every external parameter is listed in `EXTERNAL_PARAMETERS`; a verifier refuses a statement with another one (SLSA:
verifiers SHOULD reject unknown external parameters). docs/attestations.md is the page of the build type.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from attestations.digest import Digest
from attestations.errors import EnvelopeError
from attestations.manifest import Manifest
from attestations.predicates.provenance import Provenance, Resource
from attestations.strict_json import Json
from attestations.uris import CONVERT_BUILD_TYPE_V1, LOCAL_BUILDER_V1
from modelsign.conversion.record import Conversion, FileIdentity
from modelsign.errors import UsageError

EXTERNAL_PARAMETERS = frozenset({"sources", "targets", "wrapper"})


def provenance_of(conversion: Conversion, manifest: Manifest, *, finished: datetime) -> Provenance:
    """Return the provenance of the files of ``manifest`` that ``conversion`` wrote.

    Args:
        conversion: a finished conversion with digests.
        manifest: the measured model; the record's targets must be among its files.
        finished: when the conversion was done.

    Raises:
        UsageError: the record is of a dry run, lacks digests, or speaks of files that are not in the model.
    """
    if not conversion.written or not conversion.verified:
        raise UsageError("the record is of a conversion that wrote nothing or was not compared with its source")
    names: dict[Digest, list[str]] = {}
    for entry in manifest.entries:
        names.setdefault(entry.digest, []).append(manifest.file_name(entry))
    targets: list[Json] = []
    for target in conversion.targets:
        alike = names.get(Digest(algorithm="sha256", hex=_sha256(target)))
        if alike is None:
            raise UsageError(
                f"the record speaks of {target.name} with SHA-256 {target.sha256}, and no file of the model has that "
                "digest; attest the directory that the conversion wrote, or convert again with --record"
            )
        name = target.name if target.name in alike else alike[0]
        targets.append({"name": name, "digest": {"sha256": _sha256(target)}})
    external: dict[str, Json] = {
        "sources": [source.name for source in conversion.sources],
        "targets": targets,
        "wrapper": conversion.wrapper,
    }
    return Provenance(
        build_type=CONVERT_BUILD_TYPE_V1,
        external_parameters=external,
        internal_parameters=_internal(conversion),
        dependencies=tuple(
            Resource(name=source.name, sha256=_sha256(source), annotations={"size": source.size})
            for source in conversion.sources
        ),
        builder=LOCAL_BUILDER_V1,
        builder_version={"modelsign-suite": conversion.tool_version},
        byproducts=(
            Resource(
                name="conversion-record.json",
                sha256=hashlib.sha256(conversion.to_json()).hexdigest(),
                annotations={"schema": "modelsign.conversion/v1", "tensors": len(conversion.tensors)},
            ),
        ),
        finished=finished,
    )


def converted_files(provenance: Provenance) -> Mapping[str, str]:
    """Return the files that a conversion says it wrote: name to SHA-256.

    Raises:
        EnvelopeError: the provenance is not one of our build type, or says that something was executed.
    """
    if provenance.build_type != CONVERT_BUILD_TYPE_V1:
        raise EnvelopeError(f"the provenance is of build type {provenance.build_type!r}, not {CONVERT_BUILD_TYPE_V1}")
    unknown = sorted(provenance.external_parameters.keys() - EXTERNAL_PARAMETERS)
    if unknown:
        raise EnvelopeError(f"the conversion was made with a parameter this version does not know: {unknown[0]!r}")
    if provenance.internal_parameters.get("pickleExecuted") is not False:
        raise EnvelopeError("the conversion does not say that no pickle was executed")
    if provenance.internal_parameters.get("tensorEquality") != "bitwise":
        raise EnvelopeError("the conversion does not say that the tensors were compared bit by bit")
    targets = provenance.external_parameters.get("targets")
    if not isinstance(targets, list) or not targets:
        raise EnvelopeError("the conversion names no file that it wrote")
    files: dict[str, str] = {}
    for target in targets:
        if not isinstance(target, dict):
            raise EnvelopeError("a target of the conversion is not an object")
        resource = Resource.parse(target, "externalParameters.targets[]")
        files[resource.name] = resource.sha256
    return files


def _internal(conversion: Conversion) -> dict[str, Json]:
    return {
        "pickleExecuted": False,
        "tensorEquality": "bitwise",
        "format": conversion.format,
        "tensors": len(conversion.tensors),
        "aliases": dict(conversion.aliases),
        "leftOut": [{"path": item.path, "kind": item.kind} for item in conversion.left_out],
    }


def _sha256(file: FileIdentity) -> str:
    if file.sha256 is None:
        raise UsageError(f"the record has no SHA-256 of {file.name}; convert again with --record")
    return file.sha256
