"""h5py and Keras are the judges: they write files and say what is in them, and every bit must arrive."""

import json
from pathlib import Path

import pytest

from modelsign import convert
from modelsign.conversion import blocks
from modelsign.errors import ConversionError
from tests.modelsign.conversion.reading import read
from tests.peers import run_peer

SCRIPT = Path(__file__).with_name("hdf5_peer.py")
pytestmark = pytest.mark.interop

LAYOUTS = ["contiguous", "chunked", "rows", "columns", "gzip", "shuffled", "shuffle-only", "growing", "growing-packed"]
LAYOUTS += ["longer", "longer-packed", "wider", "roomier", "whole", "whole-packed", "summed", "lzf", "all-filters"]
FILES = [f"{version}-{layout}" for version in ("earliest", "v108", "v110", "latest") for layout in LAYOUTS]
NUMPY = {"float": "F", "int": "I", "uint": "U"}
REFUSED = {
    "external-link": "link to another file, '/etc/x.h5'",
    "dangling": "soft link to '/absent', which is no dataset",
    "external": "keeps its data in another file",
    "scaleoffset": "the filter scaleoffset, which is not read",
    "records": "holds records",
    "complex": "holds records",
    "unwritten": "was made but not written",
    "sparse": "was made but not written",
    "bomb": "too large to be read safely",
    "virtual": "is a virtual dataset",
    "damaged": "does not match its checksum",
    "sparse-latest": "was made but not written",
    "sparse-pages": "was made but not written",
    "looped": "a second name of a group",
}


@pytest.fixture(name="folder", scope="module")
def folder_of_h5py(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("h5py")
    run_peer("ordinary-exports", "-P", SCRIPT, "h5py", folder)
    return folder


@pytest.fixture(name="models", scope="module")
def folder_of_keras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    run_peer("ordinary-graphs", "-P", SCRIPT, "keras", folder)
    return folder


def expected(told: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {
        name: (safetensors_name(dtype), tuple(shape), bytes.fromhex(data))
        for name, (dtype, shape, data) in json.loads(told.read_text()).items()
    }


def safetensors_name(dtype: str) -> str:
    if dtype in {"bool", "|V2"}:
        return {"bool": "BOOL", "|V2": "BF16"}[dtype]
    plain = {">f": "float", ">i": "int", ">u": "uint"}.get(dtype[:2])
    if plain is not None:
        return f"{NUMPY[plain]}{8 * int(dtype[2:])}"
    word = dtype.rstrip("0123456789")
    return f"{NUMPY[word]}{dtype.removeprefix(word)}"


@pytest.mark.parametrize("name", [*FILES, "indexes", "committed", "shared", "packed-groups"])
def test_every_bit_of_every_type_and_layout_arrives(folder: Path, name: str) -> None:
    convert(folder / f"{name}.h5")
    assert read(folder / f"{name}.safetensors").tensors == expected(folder / f"{name}.json")


def test_scalars_empty_arrays_cubes_and_large_groups_arrive_and_text_is_named(folder: Path) -> None:
    done = convert(folder / "shapes.h5")
    assert read(folder / "shapes.safetensors").tensors == expected(folder / "shapes.json")
    assert dict(done.aliases) == {"soft": "deep.er.still", "twin": "one"}
    assert [(item.path, item.kind) for item in done.left_out] == [
        ("nothing", "dataset without a shape"),
        ("words", "text"),
    ]


@pytest.mark.parametrize("name", ["indexes", "earliest-growing-packed", "latest-all-filters", "v110-longer-packed"])
def test_large_blocks_arrive_by_way_of_the_scratch_file(
    folder: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "IN_MEMORY", 0)
    monkeypatch.setattr(blocks, "_PIECE", 10)
    convert(folder / f"{name}.h5", tmp_path / "out.safetensors")
    assert read(tmp_path / "out.safetensors").tensors == expected(folder / f"{name}.json")


def test_a_damaged_large_block_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "IN_MEMORY", 0)
    with pytest.raises(ConversionError, match="does not match its checksum"):
        convert(folder / "refused-damaged.h5", tmp_path / "out.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", REFUSED)
def test_what_h5py_can_write_and_we_do_not_read_is_refused_by_name(folder: Path, name: str) -> None:
    with pytest.raises(ConversionError, match=REFUSED[name]):
        convert(folder / f"refused-{name}.h5", folder / "out.safetensors")
    assert not (folder / "out.safetensors").exists()


@pytest.mark.parametrize("name", ["model.keras", "brain.keras", "old.h5", "plain.weights.h5"])
def test_every_weight_of_keras_arrives(models: Path, name: str) -> None:
    done = convert(models / name, models / "out.safetensors", force=True)
    assert read(models / "out.safetensors").tensors == expected(models / f"{name}.json")
    assert done.notes == ()


@pytest.mark.parametrize(("name", "configuration"), [("lambda.keras", "config.json"), ("lambda.h5", "model_config")])
def test_code_in_a_configuration_is_named_and_weights_arrive(models: Path, name: str, configuration: str) -> None:
    done = convert(models / name, models / "out.safetensors", force=True)
    assert read(models / "out.safetensors").tensors == expected(models / f"{name}.json")
    assert [note.partition(";")[0] for note in done.notes] == [
        f"{configuration} carries code or loads it (Lambda at .config.layers[3])"
    ]
    assert (configuration, "Keras configuration") in {(item.path, item.kind) for item in done.left_out}


def test_the_old_format_leaves_out_the_optimizer(models: Path) -> None:
    done = convert(models / "old.h5", models / "out.safetensors", force=True)
    assert done.wrapper == "model_weights"
    assert done.left_out[0].path == "optimizer_weights"
    assert len(convert(models / "old.h5", select="optimizer_weights", dry_run=True).tensors) == 14
