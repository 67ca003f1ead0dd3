import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from attestations.digest import sha256_of
from attestations.errors import ContentChanged, ManifestError, NotRegular
from attestations.manifest import (
    DEFAULT_IGNORED,
    Differences,
    Manifest,
    ManifestEntry,
    ambiguous_names,
    claims_path,
    compare,
    measure,
    measure_against,
    name_problem,
    signature_path,
)
from tests.builders.signatures import FILES, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def test_root_is_the_hash_of_the_digests_in_order(model: Path) -> None:
    digests = [hashlib.sha256(FILES[name]).digest() for name in sorted(FILES)]
    assert measure(model).root == sha256_of(b"".join(digests))


def test_manifest_lists_every_file_with_its_size(model: Path) -> None:
    manifest = measure(model)
    assert [(entry.name, entry.size) for entry in manifest.entries] == [(n, len(FILES[n])) for n in sorted(FILES)]
    assert manifest.size == sum(map(len, FILES.values()))


def test_signature_and_claims_are_ignored_before_they_exist(model: Path) -> None:
    before = measure(model)
    (model / "model.sig").write_bytes(b"{}")
    (model / "claims.jsonl").write_bytes(b"{}")
    after = measure(model)
    assert after == before
    assert set(DEFAULT_IGNORED) == set(before.ignored)


def test_only_the_exact_names_in_the_root_are_ignored(model: Path) -> None:
    write_model(model, {"a/model.sig": b"", "Model.sig": b"", "claims.jsonl.py": b"", ".github.py": b""})
    assert {"a/model.sig", "Model.sig", "claims.jsonl.py", ".github.py"} <= set(measure(model).files())


def test_what_was_left_out_is_told(model: Path) -> None:
    write_model(model, {".github/modeling.py": b"", "skip/x": b"", "model.sig": b""})
    assert measure(model, ignored=["skip"]).unsigned == (".github/modeling.py", "skip/x")


def test_single_file_is_called_dot_and_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    manifest = measure(tmp_path / "m.gguf")
    assert ([entry.name for entry in manifest.entries], manifest.files()) == (["."], ("m.gguf",))


def test_single_file_compares_equal_under_both_names(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    actual = measure(tmp_path / "m.gguf")
    entry = ManifestEntry(name="m.gguf", digest=sha256_of(b"GGUF"))
    assert not compare(Manifest(name="m.gguf", entries=(entry,)), actual)


def test_renamed_single_file_differs(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    signed = measure(tmp_path / "m.gguf")
    (tmp_path / "m.gguf").rename(tmp_path / "n.gguf")
    assert compare(signed, measure(tmp_path / "n.gguf")) == Differences(missing=("m.gguf",), extra=("n.gguf",))


@pytest.mark.parametrize("given", [".", "../model", "model/", "link"])
def test_model_has_a_name_however_it_is_reached(model: Path, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (model.parent / "link").symlink_to("model")
    monkeypatch.chdir(model if given in {".", "../model"} else model.parent)
    assert measure(Path(given)).name == ("link" if given == "link" else "model")


def test_model_without_files_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, {".gitignore": b"", "model.sig": b""})
    with pytest.raises(ManifestError, match="no files"):
        measure(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/x",
        "../x",
        "a/../x",
        "a//b",
        "a/",
        "./a",
        ".",
        "..",
        "a\nb",
        "a\x1b[2Jb",
        "a\x00b",
        "a\x85b",
        "\ud800",
        "\\x",
        "..\\x",
        "a\\..\\b",
        "x" * 5000,
    ],
)
def test_name_that_could_mislead_is_no_name(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize("name", ["a", "a/b", "...", "a..b", ".git", "é", "w:1.bin", "a b", "a\\b", "日本"])
def test_usual_and_unusual_names_are_fine(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["bad\nname", os.fsdecode(b"caf\xe9")])
def test_file_that_cannot_be_named_cannot_be_signed(model: Path, name: str) -> None:
    (model / name).write_bytes(b"")
    with pytest.raises(ManifestError, match="rename it"):
        measure(model)


@pytest.mark.parametrize("ignored", ["/etc", "../x", "", "a//b"])
def test_ignored_names_stay_inside_the_model(model: Path, ignored: str) -> None:
    with pytest.raises(ManifestError, match="relative to the model's root"):
        measure(model, ignored=[ignored])


@pytest.mark.parametrize("hash_type", ["sha256", "blake2b"])
def test_files_are_hashed_with_the_hash_asked_for(model: Path, hash_type: str) -> None:
    entry = measure(model, hash_type=hash_type).entries[0]
    assert (entry.digest.algorithm, entry.digest.hex) == (
        hash_type,
        hashlib.new(hash_type, FILES[entry.name]).hexdigest(),
    )


def test_shards_cover_every_byte_and_sort_as_text(tmp_path: Path) -> None:
    content = os.urandom(11 * 4096 + 7)
    write_model(tmp_path, {"w": content})
    entries = measure(tmp_path, method="shards", shard_size=4096).entries
    assert [entry.resource for entry in entries[:3]] == ["w:0:4096", "w:12288:16384", "w:16384:20480"]
    assert max((entry.start, entry.end) for entry in entries) == (11 * 4096, 11 * 4096 + 7)
    first = next(entry for entry in entries if entry.start == 0)
    assert first.digest == sha256_of(content[:4096])


def test_file_without_bytes_is_a_shard_too(tmp_path: Path) -> None:
    write_model(tmp_path, {"__init__.py": b"", "w": b"1"})
    resources = [entry.resource for entry in measure(tmp_path, method="shards", shard_size=4096).entries]
    assert resources == ["__init__.py:0:0", "w:0:1"]


@pytest.mark.parametrize(
    "options",
    [{"hash_type": "md5"}, {"method": "lines"}, {"shard_size": 4096}, {"method": "shards", "shard_size": 1}],
)
def test_choices_outside_of_the_format_are_refused(model: Path, options: dict[str, object]) -> None:
    with pytest.raises(ManifestError):
        measure(model, **options)  # type: ignore[arg-type]  # wrong on purpose


def test_signature_and_claims_lie_in_a_directory_or_beside_a_file(model: Path) -> None:
    assert (signature_path(model), claims_path(model)) == (model / "model.sig", model / "claims.jsonl")
    file = model / "w.bin"
    assert (signature_path(file), claims_path(file)) == (model / "w.bin.sig", model / "w.bin.claims.jsonl")


def test_names_that_are_one_name_elsewhere_are_found() -> None:
    names = ["A", "a", "b", "e\u0301", "\u00e9", "stra\u00dfe", "STRASSE"]
    entries = tuple(ManifestEntry(name=name, digest=sha256_of(b"")) for name in names)
    assert ambiguous_names(Manifest(name="m", entries=entries)) == (
        ("A", "a"),
        ("STRASSE", "stra\u00dfe"),
        ("e\u0301", "\u00e9"),
    )


def test_manifests_made_differently_are_not_compared(model: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be compared"):
        compare(measure(model), measure(model, hash_type="blake2b"))


# Holding a model against what was signed


def test_unchanged_model_has_no_differences(model: Path) -> None:
    signed = measure(model)
    result = measure_against(signed, model)
    assert (bool(result.differences), result.complete, result.actual) == (False, True, signed)


def test_all_differences_are_named_when_asked_for(model: Path) -> None:
    signed = measure(model)
    (model / "a.txt").unlink()
    write_model(model, {"w.bin": b"WEIGHTS" * 1000, "config.json": b"[]", "evil.py": b""})
    result = measure_against(signed, model, every=True)
    assert result.differences == Differences(missing=("a.txt",), extra=("evil.py",), changed=("config.json", "w.bin"))
    assert result.complete


@pytest.mark.parametrize("files", [{"evil.py": b""}, {".hidden": b""}, {"a/x": b""}])
def test_extra_file_ends_the_run_before_anything_is_hashed(model: Path, files: dict[str, bytes]) -> None:
    signed = measure(model)
    write_model(model, files)
    read: list[int] = []
    result = measure_against(signed, model, progress=read.append)
    assert (result.differences.extra, result.complete, read) == (tuple(files), False, [])


def test_missing_file_ends_the_run_before_anything_is_hashed(model: Path) -> None:
    signed = measure(model)
    (model / "a.txt").unlink()
    read: list[int] = []
    assert measure_against(signed, model, progress=read.append).differences.missing == ("a.txt",)
    assert read == []


def test_other_size_ends_the_run_before_anything_is_hashed(tmp_path: Path) -> None:
    write_model(tmp_path, {"w": bytes(10_000)})
    signed = measure(tmp_path, method="shards", shard_size=4096)
    write_model(tmp_path, {"w": bytes(10_001)})
    read: list[int] = []
    assert measure_against(signed, tmp_path, progress=read.append).differences.changed == ("w",)
    assert read == []


def test_unsigned_file_is_named_even_when_it_is_allowed(model: Path) -> None:
    signed = measure(model)
    write_model(model, {"evil.py": b""})
    result = measure_against(signed, model, unsigned_allowed=True)
    assert (result.differences, result.complete) == (Differences(extra=("evil.py",)), True)


def test_ignore_list_of_the_signer_plays_no_part(model: Path) -> None:
    signed = measure(model, ignored=["a.txt"])
    assert measure_against(signed, model).differences.extra == ("a.txt",)
    assert not measure_against(signed, model, ignored=["a.txt"]).differences


def test_part_of_a_model_can_be_compared(model: Path) -> None:
    signed = measure(model)
    (model / "a.txt").unlink()
    result = measure_against(signed, model, partial=["*.bin"])
    assert (bool(result.differences), result.left, result.beside) == (False, ("a.txt", "config.json"), ())


@pytest.mark.parametrize("options", [{}, {"method": "shards", "shard_size": 4096}])
def test_what_nobody_signed_beside_a_part_is_told(model: Path, options: dict[str, Any]) -> None:
    signed = measure(model, **options)
    write_model(model, {"new.py": b"", "new.bin": b""})
    result = measure_against(signed, model, partial=["*.bin"], unsigned_allowed=True)
    assert (result.differences.extra, result.beside) == (("new.bin",), ("new.py",))


def test_unsigned_file_that_the_part_asks_for_is_extra(model: Path) -> None:
    signed = measure(model)
    write_model(model, {"evil.bin": b""})
    assert measure_against(signed, model, partial=["*.bin"]).differences.extra == ("evil.bin",)


def test_changed_shard_changes_its_file(tmp_path: Path) -> None:
    write_model(tmp_path, {"w": bytes(3 * 4096), "x": b"1"})
    signed = measure(tmp_path, method="shards", shard_size=4096)
    write_model(tmp_path, {"w": bytes(2 * 4096) + b"\1" * 4096})
    assert measure_against(signed, tmp_path, every=True).differences.changed == ("w",)


def test_links_are_refused_even_when_the_signer_followed_them(model: Path) -> None:
    (model / "link").symlink_to("a.txt")
    signed = measure(model, allow_symlinks=True)
    with pytest.raises(NotRegular):
        measure_against(signed, model)
    assert not measure_against(signed, model, allow_symlinks=True).differences


def test_file_that_is_replaced_during_the_run_is_noticed(model: Path) -> None:
    signed = measure(model)
    done = False

    def replace_first(_: int) -> None:
        nonlocal done
        if not done:
            done = True
            (model / "new").write_bytes(FILES["a.txt"])
            (model / "new").replace(model / "a.txt")

    result = measure_against(signed, model, progress=replace_first)
    with pytest.raises(ContentChanged, match=r"a\.txt: changed"):
        result.check_same(model)


@pytest.mark.parametrize("size", [1, 10, 64 * 1024, 64 * 1024 + 1, 3 * 1024 * 1024])
def test_file_that_is_written_to_while_it_is_read_is_noticed(tmp_path: Path, size: int) -> None:
    write_model(tmp_path, {"x": bytes(size), "y": b""})

    def write(_: int) -> None:
        with (tmp_path / "x").open("r+b") as file:
            file.write(b"!")

    with pytest.raises(ContentChanged, match="x"):
        measure(tmp_path, progress=write)


@pytest.mark.parametrize("options", [{}, {"method": "shards", "shard_size": 4096}])
def test_file_that_is_replaced_after_the_run_is_noticed(tmp_path: Path, options: dict[str, Any]) -> None:
    model = write_model(tmp_path / "model")
    result = measure_against(measure(model, **options), model)
    result.check_same(model)

    # The same bytes, in other files.
    (model / "a").rename(tmp_path / "aside")
    write_model(model)
    with pytest.raises(ContentChanged, match="changed"):
        result.check_same(model)


@pytest.mark.parametrize("options", [{}, {"method": "shards", "shard_size": 4096}])
def test_unsigned_file_that_is_let_pass_must_stay_as_well(tmp_path: Path, options: dict[str, Any]) -> None:
    model = write_model(tmp_path / "model")
    signed = measure(model, **options)
    write_model(model, {"notes": b"1"})
    result = measure_against(signed, model, unsigned_allowed=True)
    result.check_same(model)
    write_model(model, {"notes": b"22"})
    with pytest.raises(ContentChanged, match="notes: changed"):
        result.check_same(model)


def test_file_beyond_the_part_that_was_asked_for_may_not_go(model: Path) -> None:
    result = measure_against(measure(model), model, partial=["*.bin"])
    result.check_same(model)
    (model / "a.txt").unlink()
    with pytest.raises(ContentChanged, match=r"a\.txt: disappeared"):
        result.check_same(model)
