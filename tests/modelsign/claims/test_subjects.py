from dataclasses import replace

import pytest

from attestations.digest import sha256_of
from modelsign.claims.subjects import subjects_of
from modelsign.errors import UsageError
from tests.builders.statements import manifest

FILES = {"b/c.bin": b"c", "a.json": b"a"}


def test_the_root_comes_first_and_then_every_file_by_name() -> None:
    model = manifest(FILES)
    root, *files = subjects_of(model)

    assert (root.name, root.digests) == ("model", (model.root,))
    assert root.annotations["oms.method"] == "files"
    assert [(file.name, file.digests) for file in files] == [
        (name, (sha256_of(FILES[name]),)) for name in ("a.json", "b/c.bin")
    ]


def test_no_two_subjects_have_one_name() -> None:
    alike = replace(manifest({"m.gguf": b"weights", "m.gguf (root)": b"x"}), name="m.gguf")

    names = [subject.name for subject in subjects_of(alike)]
    assert names == ["m.gguf (root) (root)", "m.gguf", "m.gguf (root)"]


@pytest.mark.parametrize("changes", [{"shard_size": 4096}, {"hash_type": "blake2b"}])
def test_only_whole_files_with_sha256_can_be_subjects(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        subjects_of(replace(manifest(FILES), **changes))  # type: ignore[arg-type]  # a test replaces fields by name
