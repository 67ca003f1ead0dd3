"""The subjects of every statement about a model: the root digest, then each file by name and digest.

A root digest binds neither names nor, alone, anything a file-wise tool knows; a statement is bound to both, so that
renaming a file or moving the statement to another model breaks it.
"""

from collections.abc import Container

from attestations.manifest import SINGLE_FILE, Manifest
from attestations.statement import Subject
from modelsign.errors import UsageError


def subjects_of(manifest: Manifest) -> tuple[Subject, ...]:
    """Return the subjects for a manifest of whole files with SHA-256, the root first, files by name.

    Raises:
        UsageError: the manifest is of shards or of another hash, which other tools could not compare.
    """
    if manifest.shard_size is not None or manifest.hash_type != "sha256":
        raise UsageError("statements name whole files by SHA-256; measure the model so")
    files = {manifest.file_name(entry): entry.digest for entry in manifest.entries}
    root = Subject(
        name=_root_name(manifest.name, files),
        digests=(manifest.root,),
        annotations={
            "oms.method": manifest.method,
            "oms.hash_type": manifest.hash_type,
            "oms.allow_symlinks": manifest.allow_symlinks,
            "oms.ignore_paths": list(manifest.ignored),
        },
    )
    return (root, *(Subject(name=name, digests=(files[name],)) for name in sorted(files)))


def _root_name(name: str, files: Container[str]) -> str:
    """Return a name for the model as a whole that no file has: names in a statement are unique."""
    while name in files or name == SINGLE_FILE:
        name = f"{name} (root)"
    return name
