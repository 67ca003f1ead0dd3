import json
import os
import resource
import struct
from pathlib import Path
from typing import Any

import pytest

from modelsign import convert
from modelsign.conversion import directory as converting
from modelsign.conversion.sharding import size_of
from modelsign.errors import ConversionError, NothingToDo, SourceError, UsageError
from tests.builders import hdf5 as build
from tests.builders.checkpoints import (
    Call,
    Name,
    flax_array,
    floats,
    msgpack,
    numpy_array,
    pickled,
    tensor,
    torch_zip,
)
from tests.builders.keras import DENSE, keras_file, layer, sequential
from tests.builders.zips import archive
from tests.modelsign.conversion.reading import read
from tests.peers import run_peer


def checkpoint(**sizes: int) -> bytes:
    value = {name.replace("_", "."): tensor(name, (size,)) for name, size in sizes.items()}
    return torch_zip(value, {name: floats(size) for name, size in sizes.items()})


SHARDS = {
    "pytorch_model-00001-of-00002.bin": checkpoint(a_w=4, a_b=2),
    "pytorch_model-00002-of-00002.bin": checkpoint(c_w=6),
    "pytorch_model.bin.index.json": json.dumps(
        {
            "metadata": {"total_size": 1},
            "weight_map": {
                "a.w": "pytorch_model-00001-of-00002.bin",
                "a.b": "pytorch_model-00001-of-00002.bin",
                "c.w": "pytorch_model-00002-of-00002.bin",
            },
        }
    ).encode(),
    "config.json": b"{}",
}


def directory(folder: Path, files: dict[str, bytes]) -> Path:
    source = folder / "model"
    for name, data in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return source


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def refusal(folder: Path, files: dict[str, bytes], kind: type[Exception] = ConversionError, **options: Any) -> str:
    source = directory(folder, files)
    with pytest.raises(kind) as caught:
        convert(source, folder / "out", **options)
    assert [entry.name for entry in folder.iterdir()] == ["model"]
    return str(caught.value)


def test_a_directory_is_converted_beside_itself(tmp_path: Path) -> None:
    source = directory(tmp_path, {"pytorch_model.bin": checkpoint(w=3), "config.json": b"{}", "sub/notes.md": b"hi"})
    done = convert(source)
    out = tmp_path / "model-safetensors"
    assert listing(out) == ["config.json", "model.safetensors", "sub/notes.md"]
    assert read(out / "model.safetensors").tensors["w"][2] == floats(3)
    assert [file.name for file in done.targets] == ["model.safetensors"]


def test_shards_keep_their_structure_and_get_an_index_of_what_was_written(tmp_path: Path) -> None:
    convert(directory(tmp_path, SHARDS), tmp_path / "out")
    assert listing(tmp_path / "out") == [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert json.loads((tmp_path / "out/model.safetensors.index.json").read_text()) == {
        "metadata": {"total_size": 48},
        "weight_map": {
            "a.b": "model-00001-of-00002.safetensors",
            "a.w": "model-00001-of-00002.safetensors",
            "c.w": "model-00002-of-00002.safetensors",
        },
    }


def test_every_name_of_the_index_is_in_the_file_it_names(tmp_path: Path) -> None:
    convert(directory(tmp_path, SHARDS), tmp_path / "out", max_shard_size=17)
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == {"a.w", "a.b", "c.w"}
    for name, file in index["weight_map"].items():
        assert name in read(tmp_path / "out" / file).tensors


def test_shards_can_become_one_file(tmp_path: Path) -> None:
    convert(directory(tmp_path, SHARDS), tmp_path / "out", max_shard_size="1GB")
    assert listing(tmp_path / "out") == ["config.json", "model.safetensors"]
    assert sorted(read(tmp_path / "out/model.safetensors").tensors) == ["a.b", "a.w", "c.w"]


def test_one_file_can_become_shards(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(checkpoint(a=4, b=4, c=4))
    done = convert(tmp_path / "m.pt", tmp_path / "out", max_shard_size=32, digest=True)
    assert listing(tmp_path / "out") == [
        "m-00001-of-00002.safetensors",
        "m-00002-of-00002.safetensors",
        "m.safetensors.index.json",
    ]
    assert done.sources[0].sha256 is not None
    assert all(file.sha256 for file in done.targets)


def test_the_alias_of_a_tied_tensor_stays_with_the_kept_one(tmp_path: Path) -> None:
    value = {"embed": tensor("0", (4,)), "other": tensor("1", (4,)), "head": tensor("0", (4,))}
    (tmp_path / "m.pt").write_bytes(torch_zip(value, {"0": floats(4), "1": floats(4)}))
    convert(tmp_path / "m.pt", tmp_path / "out", max_shard_size=16)
    index = json.loads((tmp_path / "out/m.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == {"embed", "other"}
    assert index["metadata"] == {"head": "embed", "total_size": 32}
    assert read(tmp_path / "out" / index["weight_map"]["embed"]).metadata == {"head": "embed", "format": "pt"}


def test_subdirectories_are_converted_each_for_itself(tmp_path: Path) -> None:
    files = {
        "unet/diffusion_pytorch_model.bin": checkpoint(w=1),
        "vae/diffusion_pytorch_model.fp16.bin": checkpoint(w=2),
        "text/pytorch_model.fp16.bin": checkpoint(w=3),
        "model_index.json": b"{}",
    }
    convert(directory(tmp_path, files), tmp_path / "out")
    assert listing(tmp_path / "out") == [
        "model_index.json",
        "text/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]


def npy(kind: object, shape: tuple[int, ...], data: bytes) -> bytes:
    head = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head + data


def npz(**arrays: bytes) -> bytes:
    return archive(*((f"{name}.npy", data) for name, data in arrays.items()))


OBJECTS = npy("|O", (1,), pickled(Call(Name("os", "system"), ("echo x",))))
MSGPACK = msgpack({"params": {"w": flax_array((2,), "float32", floats(2))}})
ALTERNATIVES = {
    "pytorch_model.bin": checkpoint(w=1),
    "tf_model.h5": build.weights(),
    "flax_model.msgpack": MSGPACK,
    "arrays.npz": npz(a=npy("<f4", (2,), floats(2))),
    "one.npy": npy("<f4", (2,), floats(2)),
    "model.pdparams": pickled({"w": numpy_array(floats(1), (1,), "f4")}),
    "config.json": b"{}",
}


def test_every_format_of_weights_becomes_safetensors(tmp_path: Path) -> None:
    done = convert(directory(tmp_path, ALTERNATIVES), tmp_path / "out")
    assert listing(tmp_path / "out") == [
        "arrays.safetensors",
        "config.json",
        "flax_model.safetensors",
        "model.pdparams.safetensors",
        "model.safetensors",
        "one.safetensors",
        "tf_model.safetensors",
    ]
    assert read(tmp_path / "out/model.safetensors").tensors["w"][2] == floats(1)
    assert read(tmp_path / "out/tf_model.safetensors").tensors["w"][2] == bytes(64)
    assert done.notes == ("other files, copied as they are: 1",)


def test_what_transformers_loads_gets_its_name_before_others(tmp_path: Path) -> None:
    files = {name: checkpoint(**{name[0]: 1}) for name in ("model.pt", "pytorch_model.bin")}
    convert(directory(tmp_path, {**files, "model.h5": build.weights()}), tmp_path / "out")
    assert listing(tmp_path / "out") == ["model.h5.safetensors", "model.pt.safetensors", "model.safetensors"]
    assert set(read(tmp_path / "out/model.safetensors").tensors) == {"p"}


def test_a_keras_model_is_copied_as_well_because_it_holds_its_layers(tmp_path: Path) -> None:
    keras = keras_file(sequential(DENSE), weights=build.weights())
    done = convert(directory(tmp_path, {"m.keras": keras}), tmp_path / "out")
    assert listing(tmp_path / "out") == ["m.keras", "m.safetensors"]
    assert done.notes[0].startswith("m.keras: copied as well, because it holds more than weights (Keras configuration")


def test_a_keras_model_with_code_in_it_leaves_its_weights_only(tmp_path: Path) -> None:
    config = sequential(DENSE, layer("Lambda", {"function": "evil"}))
    files = {"m.keras": keras_file(config, weights=build.weights()), "o.h5": build.weights({"model_config": config})}
    done = convert(directory(tmp_path, files), tmp_path / "out")
    assert listing(tmp_path / "out") == ["m.safetensors", "o.safetensors"]
    assert ["carries code" in note for note in done.notes] == [True, True]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("linked.h5", build.weights(None, build.external_link("x", "/etc/x.h5")), "linked.h5: '/x': is a link to"),
        ("cut.msgpack", MSGPACK[:-3], "cut.msgpack: a count is larger"),
        ("words.npy", npy("<U1", (2,), bytes(8)), "words.npy: array 'tensor': has the type 'U1'"),
        ("wide.npz", npz(a=npy("<c16", (1,), bytes(16))), "wide.npz: array 'a': has the type complex128"),
    ],
    ids=["link", "cut off", "text", "complex"],
)
def test_weights_without_pickles_that_cannot_be_converted_are_copied(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    done = convert(directory(tmp_path, {"m.pt": checkpoint(w=1), name: data}), tmp_path / "out")
    assert listing(tmp_path / "out") == sorted(["m.safetensors", name])
    assert done.notes[0].startswith(f"copied as it is, not converted: {words}")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("objects.npy", OBJECTS),
        ("objects.npz", npz(a=npy("<c16", (1,), bytes(16)), b=OBJECTS)),
        ("records.npy", npy([("a", "<i4"), ("b", "|O")], (1,), b"x")),
        ("DATA.zip", archive(("x/DATA.PKL", pickled({})))),
        ("late.zip", archive(("x/version", bytes(600)), ("x/data.pkl", b"junk"))),
        ("late.weights", archive(("x/version", bytes(600)), ("x/data.pkl", b"junk")) + b"tail"),
    ],
    ids=["array", "archive", "records", "capitals", "second member", "another name"],
)
def test_pickles_in_other_formats_refuse_the_directory(tmp_path: Path, name: str, data: bytes) -> None:
    assert name in refusal(tmp_path, {"m.pt": checkpoint(w=1), name: data})


def test_other_archives_are_copied_although_there_are_arrays_in_them(tmp_path: Path) -> None:
    array = ("a.npy", npy("<f4", (2,), floats(2)))
    files = {"m.pt": checkpoint(w=1), "m.skops": archive(("schema.json", b"{}"), array)}
    files |= {"docs.zip": archive(("a.txt", b"a")), "odd.zip": b"PK\x03\x04 no archive"}
    done = convert(directory(tmp_path, files), tmp_path / "out")
    assert listing(tmp_path / "out") == ["docs.zip", "m.safetensors", "m.skops", "odd.zip"]
    assert done.notes[0].startswith("copied as it is, not converted: odd.zip: ")


def test_shards_of_other_formats_keep_their_structure_too(tmp_path: Path) -> None:
    index = {"metadata": {"total_size": 1}, "weight_map": {"w": "tf_model-00001-of-00001.h5"}}
    files = {"tf_model-00001-of-00001.h5": build.weights(), "tf_model.h5.index.json": json.dumps(index).encode()}
    convert(directory(tmp_path, files), tmp_path / "out")
    assert listing(tmp_path / "out") == ["tf_model-00001-of-00001.safetensors", "tf_model.safetensors.index.json"]


def test_pickles_without_tensors_are_left_out_and_named(tmp_path: Path) -> None:
    arguments = pickled(Call(Name("transformers.training_args", "TrainingArguments"), (), state={"lr": 1.0}, new=True))
    files = {"pytorch_model.bin": checkpoint(w=1), "training_args.bin": arguments, "model.sig": b"{}"}
    done = convert(directory(tmp_path, files), tmp_path / "out")
    assert listing(tmp_path / "out") == ["model.safetensors"]
    assert [(item.path, item.kind) for item in done.left_out[:2]] == [
        ("model.sig", "signature of the source"),
        ("training_args.bin", "pickle without tensors"),
    ]


def test_a_pickle_beside_its_own_conversion_is_left_out(tmp_path: Path) -> None:
    convert(directory(tmp_path, {"model.pt": checkpoint(w=1)}), tmp_path / "first")
    files = {
        "pytorch_model.bin": checkpoint(w=1),
        "model.safetensors": (tmp_path / "first/model.safetensors").read_bytes(),
        "extra.pt": checkpoint(x=1),
    }
    (tmp_path / "model/model.pt").unlink()
    done = convert(directory(tmp_path, files), tmp_path / "out")
    assert listing(tmp_path / "out") == ["extra.safetensors", "model.safetensors"]
    assert ("pytorch_model.bin", "pickle beside model.safetensors") in [(one.path, one.kind) for one in done.left_out]


def test_a_pickle_under_another_name_does_not_slip_through(tmp_path: Path) -> None:
    files = {"pytorch_model.bin": checkpoint(w=1), "weights.dat": checkpoint(v=1)}
    convert(directory(tmp_path, files), tmp_path / "out")
    assert listing(tmp_path / "out") == ["model.safetensors", "weights.safetensors"]


def test_a_dangerous_file_refuses_the_directory(tmp_path: Path) -> None:
    hostile = pickled(Call(Name("os", "system"), ("echo x",)))
    files = {"pytorch_model.bin": checkpoint(w=1), "training_args.bin": hostile}
    assert "os.system" in refusal(tmp_path, files)


def test_a_file_that_cannot_be_converted_can_be_excluded(tmp_path: Path) -> None:
    files = {"pytorch_model.bin": checkpoint(w=1), "old/broken.pt": b"\x80\x02junk"}
    assert "broken.pt" in refusal(tmp_path, files)
    convert(tmp_path / "model", tmp_path / "out", exclude=["old/*"])
    assert listing(tmp_path / "out") == ["model.safetensors"]


def test_other_binaries_are_copied(tmp_path: Path) -> None:
    files = {"pytorch_model.bin": checkpoint(w=1), "tokenizer.bin": b"\x00\x01\x02", "vocab.model": b"\x80"}
    convert(directory(tmp_path, files), tmp_path / "out")
    assert listing(tmp_path / "out") == ["model.safetensors", "tokenizer.bin", "vocab.model"]


def test_weights_that_are_no_checkpoint_refuse_the_directory(tmp_path: Path) -> None:
    refusal(tmp_path, {"pytorch_model.bin": b"version https://git-lfs.github.com/spec/v1\n"})


def test_a_directory_without_checkpoints_is_nothing_to_do(tmp_path: Path) -> None:
    refusal(tmp_path, {"config.json": b"{}"}, NothingToDo)


def test_pickles_that_are_not_converted_are_named_where_nothing_is(tmp_path: Path) -> None:
    files = {
        "model.safetensors": bytes(8),
        "pytorch_model.bin": checkpoint(w=1),
        "training_args.bin": pickled({"lr": 1}),
    }
    said = refusal(tmp_path, files, NothingToDo)
    assert "pytorch_model.bin (pickle beside model.safetensors)" in said
    assert "training_args.bin (pickle without tensors)" in said


def test_there_may_be_more_checkpoints_than_files_that_can_be_open(tmp_path: Path) -> None:
    source = directory(tmp_path, {f"part-{number}.pt": checkpoint(w=1) for number in range(60)})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/dev/fd")) + 40  # noqa: PTH208 - of this process, and some for the worker
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(used, hard), hard))
    try:
        convert(source, tmp_path / "out", digest=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(listing(tmp_path / "out")) == 60


def test_copied_files_keep_their_permissions(tmp_path: Path) -> None:
    source = directory(tmp_path, {"pytorch_model.bin": checkpoint(w=1), "run.sh": b"#!/bin/sh\n", "private": b"x"})
    (source / "run.sh").chmod(0o755)
    (source / "private").chmod(0o400)
    convert(source, tmp_path / "out")
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "private").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"pytorch_model-00002-of-00002.bin": None}, "not there"),
        ({"pytorch_model-00002-of-00002.bin": checkpoint(d_w=1)}, "no shard has"),
        ({"pytorch_model-00002-of-00002.bin": checkpoint(c_w=6, a_w=4)}, "more than one shard"),
        ({"pytorch_model.bin.index.json": b"{}"}, "no index"),
        ({"pytorch_model.bin.index.json": b'{"weight_map": {}}'}, "no tensors"),
        ({"pytorch_model.bin.index.json": b'{"weight_map": {"a": "../x.bin"}}'}, "no file beside"),
        ({"pytorch_model.bin.index.json": b'{"weight_map": {"a": 3}}'}, "no file beside"),
        ({"pytorch_model.bin.index.json": b'{"weight_map": ' + b"[" * 50_000}, "no index"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, bytes | None], word: str) -> None:
    files = {name: data for name, data in {**SHARDS, **change}.items() if data is not None}
    assert word in refusal(tmp_path, files)


def test_a_link_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    source = directory(tmp_path, {"pytorch_model.bin": checkpoint(w=1)})
    (source / "secret").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match="leads out"):
        convert(source, tmp_path / "out")


def test_links_of_a_download_cache_are_followed(tmp_path: Path) -> None:
    blobs = tmp_path / "repo/blobs"
    snapshot = tmp_path / "repo/snapshots/abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "123").write_bytes(checkpoint(w=1))
    (snapshot / "pytorch_model.bin").symlink_to("../../blobs/123")
    convert(snapshot, tmp_path / "out")
    assert listing(tmp_path / "out") == ["model.safetensors"]


def test_a_target_inside_the_source_is_a_usage_error(tmp_path: Path) -> None:
    source = directory(tmp_path, {"pytorch_model.bin": checkpoint(w=1)})
    with pytest.raises(UsageError, match="lies in"):
        convert(source, source / "out")


def test_a_target_around_the_source_is_a_usage_error_force_or_not(tmp_path: Path) -> None:
    source = directory(tmp_path, {"pytorch_model.bin": checkpoint(w=1)})
    for part in (source, source / "pytorch_model.bin"):
        with pytest.raises(UsageError, match="the source lies in it"):
            convert(part, tmp_path, force=True, max_shard_size="1MB")
    assert listing(tmp_path) == ["model/pytorch_model.bin"]


def test_a_full_target_is_kept(tmp_path: Path) -> None:
    source = directory(tmp_path, {"pytorch_model.bin": checkpoint(w=1)})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_bytes(b"x")
    with pytest.raises(UsageError, match="--force"):
        convert(source, tmp_path / "out")
    convert(source, tmp_path / "out", force=True)
    assert listing(tmp_path / "out") == ["model.safetensors"]


def test_a_dry_run_of_a_directory_writes_nothing(tmp_path: Path) -> None:
    done = convert(directory(tmp_path, SHARDS), tmp_path / "out", dry_run=True)
    assert [file.name for file in done.targets] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("1.5 GiB", 3 << 29), ("200mb", 200_000_000), ("17", 17), ("2k", 2000)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "0", "5XB", "1e9"])
def test_what_is_no_size_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--max-shard-size"):
        size_of(text)


MAKE = """
import json, sys, torch
from pathlib import Path
folder = Path(sys.argv[1])
folder.mkdir()
shared = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
parts = [{"embed": shared, "head": shared, "a": torch.ones(2, dtype=torch.bfloat16)}, {"b": torch.arange(4).t()}]
names = [f"pytorch_model-{n:05d}-of-00002.bin" for n in (1, 2)]
for name, part in zip(names, parts):
    torch.save(part, folder / name)
index = {"metadata": {}, "weight_map": {key: name for name, part in zip(names, parts) for key in part}}
(folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
(folder / "config.json").write_text("{}")
"""
LOAD = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import load_file
folder, out = map(Path, sys.argv[1:])
index = json.loads((out / "model.safetensors.index.json").read_text())
found = {}
for file in set(index["weight_map"].values()):
    found |= load_file(out / file)
assert found.keys() == index["weight_map"].keys()
expected = {}
for file in folder.glob("*.bin"):
    expected |= torch.load(file, weights_only=True)
for name, tensor in expected.items():
    kept = index["metadata"].get(name, name)
    assert torch.equal(found[kept], tensor) and found[kept].dtype == tensor.dtype, name
"""


@pytest.mark.interop
def test_a_directory_of_torchs_shards_loads_from_its_index(tmp_path: Path) -> None:
    run_peer("torch", "-c", MAKE, tmp_path / "model")
    convert(tmp_path / "model", tmp_path / "out")
    run_peer("torch", "-c", LOAD, tmp_path / "model", tmp_path / "out")


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_link_that_comes_during_the_conversion_leads_nowhere(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "config.json").write_bytes(b"somebody else's")
    folder = directory(tmp_path / "m", {"model.pt": checkpoint(a=1), "sub/config.json": b"{}"})
    honest = converting._write_group

    def swapping(*arguments: Any) -> None:
        honest(*arguments)
        (folder / "sub" / "config.json").unlink()
        if what == "file":
            (folder / "sub" / "config.json").symlink_to(tmp_path / "secrets" / "config.json")
        else:
            (folder / "sub").rmdir()
            (folder / "sub").symlink_to(tmp_path / "secrets")

    monkeypatch.setattr(converting, "_write_group", swapping)
    with pytest.raises(SourceError, match="leads out"):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", ["written", "replaced"])
def test_a_checkpoint_that_changes_before_it_is_copied_refuses_the_directory(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = directory(tmp_path / "m", {"model.pt": checkpoint(a=1)})
    honest = converting._write_group

    def changing(*arguments: Any) -> None:
        if how == "replaced":
            (folder / "model.pt").unlink()
        (folder / "model.pt").write_bytes(checkpoint(a=2))
        honest(*arguments)

    monkeypatch.setattr(converting, "_write_group", changing)
    with pytest.raises(ConversionError, match="changed while"):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
