import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest

from modelsign import convert
from modelsign.errors import ConversionError, SourceError, UsageError
from tests.builders.checkpoints import (
    Call,
    Name,
    Persistent,
    floats,
    ordered,
    pickled,
    tensor,
    tensor_v3,
    torch_zip,
)
from tests.builders.zips import Archive, Member, archive
from tests.modelsign.conversion.reading import read


def write(folder: Path, data: bytes, name: str = "m.pt") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def refusal(folder: Path, data: bytes, **options: Any) -> str:
    """Convert, expect a refusal that leaves nothing behind, and return what it says."""
    path = write(folder, data)
    with pytest.raises(ConversionError) as caught:
        convert(path, **options)
    assert sorted(entry.name for entry in folder.iterdir()) == ["m.pt"]
    return str(caught.value)


SMALL = torch_zip({"a": tensor("0", (2, 3))}, {"0": floats(6)})


def test_a_tensor_arrives_bit_by_bit(tmp_path: Path) -> None:
    done = convert(write(tmp_path, SMALL))
    written = read(tmp_path / "m.safetensors")
    assert written.tensors == {"a": ("F32", (2, 3), floats(6))}
    assert done.tensors[0].sha256 == hashlib.sha256(floats(6)).hexdigest()


def test_the_metadata_names_the_format_that_transformers_asks_for(tmp_path: Path) -> None:
    convert(write(tmp_path, SMALL))
    assert read(tmp_path / "m.safetensors").metadata == {"format": "pt"}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("m.pt", "m.safetensors"),
        ("pytorch_model.bin", "model.safetensors"),
        ("pytorch_model-00001-of-00002.bin", "model-00001-of-00002.safetensors"),
        ("v1.2.ckpt", "v1.2.safetensors"),
    ],
)
def test_the_target_is_named_after_the_source(tmp_path: Path, source: str, target: str) -> None:
    convert(write(tmp_path, SMALL, source))
    assert (tmp_path / target).exists()


def test_an_existing_target_is_kept(tmp_path: Path) -> None:
    target = write(tmp_path, b"mine", "m.safetensors")
    with pytest.raises(UsageError, match="--force"):
        convert(write(tmp_path, SMALL))
    assert target.read_bytes() == b"mine"


def test_force_replaces_an_existing_target(tmp_path: Path) -> None:
    write(tmp_path, b"old", "m.safetensors")
    convert(write(tmp_path, SMALL), force=True)
    assert "a" in read(tmp_path / "m.safetensors").tensors


def test_a_source_is_not_replaced_by_its_own_conversion(tmp_path: Path) -> None:
    source = write(tmp_path, SMALL)
    with pytest.raises(UsageError, match="same file"):
        convert(source, source, force=True)


def test_a_missing_source_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nothing\.pt"):
        convert(tmp_path / "nothing.pt")


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path, SMALL)
    convert(source, tmp_path / "one.safetensors")
    convert(source, tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


@pytest.mark.parametrize("align", [8, 64, 4096])
def test_data_starts_aligned(tmp_path: Path, align: int) -> None:
    convert(write(tmp_path, SMALL), align=align)
    assert read(tmp_path / "m.safetensors").data_start % align == 0


@pytest.mark.parametrize("align", [0, 7, 24, -64, 1 << 30])
def test_an_impossible_alignment_is_a_usage_error(tmp_path: Path, align: int) -> None:
    with pytest.raises(UsageError, match="--align"):
        convert(write(tmp_path, SMALL), align=align)


def test_tied_weights_are_kept_once_under_the_name_that_comes_first_in_the_source(tmp_path: Path) -> None:
    shared = tensor("0", (6,))
    done = convert(write(tmp_path, torch_zip({"b": shared, "a": tensor("0", (6,))}, {"0": floats(6)})))
    written = read(tmp_path / "m.safetensors")
    assert list(written.tensors) == ["b"]
    assert written.metadata == {"a": "b", "format": "pt"}
    assert done.aliases == (("a", "b"),)


def test_tied_weights_can_be_duplicated(tmp_path: Path) -> None:
    convert(
        write(tmp_path, torch_zip({"b": tensor("0", (6,)), "a": tensor("0", (6,))}, {"0": floats(6)})),
        tied="duplicate",
    )
    assert {name: data for name, (_, _, data) in read(tmp_path / "m.safetensors").tensors.items()} == {
        "a": floats(6),
        "b": floats(6),
    }


def test_a_tied_tensor_called_format_does_not_become_an_alias(tmp_path: Path) -> None:
    convert(write(tmp_path, torch_zip({"a": tensor("0", (6,)), "format": tensor("0", (6,))}, {"0": floats(6)})))
    written = read(tmp_path / "m.safetensors")
    assert list(written.tensors) == ["format"]
    assert written.metadata == {"a": "format", "format": "pt"}


def test_overlapping_views_are_written_in_full(tmp_path: Path) -> None:
    value = {
        "full": tensor("0", (10,)),
        "head": tensor("0", (8,), numel=10),
        "tail": tensor("0", (6,), offset=4, numel=10),
    }
    convert(write(tmp_path, torch_zip(value, {"0": floats(10)})))
    tensors = read(tmp_path / "m.safetensors").tensors
    assert tensors["head"][2] == floats(8)
    assert tensors["tail"][2] == floats(6, 4)
    assert tensors["full"][2] == floats(10)


def test_two_empty_tensors_are_not_tied(tmp_path: Path) -> None:
    convert(write(tmp_path, torch_zip({"a": tensor("0", (0,)), "b": tensor("0", (0,))}, {"0": b""})))
    assert sorted(read(tmp_path / "m.safetensors").tensors) == ["a", "b"]


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model", "module"])
def test_a_wrapper_is_taken_and_the_rest_reported(tmp_path: Path, wrapper: str) -> None:
    value = {"epoch": 3, wrapper: ordered({"w": tensor("0", (2,))}), "optimizer": {"m": tensor("1", (2,)), "lr": 0.1}}
    done = convert(write(tmp_path, torch_zip(value, {"0": floats(2), "1": floats(2)})))
    assert list(read(tmp_path / "m.safetensors").tensors) == ["w"]
    assert done.wrapper == wrapper
    assert [(item.path, item.kind, item.tensors, item.values) for item in done.left_out] == [
        ("epoch", "int", 0, 0),
        ("optimizer", "dict", 1, 1),
    ]


def test_everything_can_be_selected(tmp_path: Path) -> None:
    value = {"model": {"w": tensor("0", (2,))}, "extra": tensor("1", (2,))}
    convert(write(tmp_path, torch_zip(value, {"0": floats(2), "1": floats(2)})), select=".")
    assert sorted(read(tmp_path / "m.safetensors").tensors) == ["extra", "model.w"]


def test_a_part_can_be_selected(tmp_path: Path) -> None:
    value = {"model": {"w": tensor("0", (2,))}, "ema": {"net.1": {"v": tensor("1", (2,))}}}
    done = convert(write(tmp_path, torch_zip(value, {"0": floats(2), "1": floats(2)})), select="ema.net.1")
    assert list(read(tmp_path / "m.safetensors").tensors) == ["v"]
    assert [item.path for item in done.left_out] == ["model"]


def test_a_part_that_is_not_there_is_refused_with_what_is(tmp_path: Path) -> None:
    assert "it has a" in refusal(tmp_path, SMALL, select="b")


@pytest.mark.parametrize(
    ("dtype", "name", "itemsize"),
    [
        ("float64", "F64", 8),
        ("float16", "F16", 2),
        ("bfloat16", "BF16", 2),
        ("int64", "I64", 8),
        ("int32", "I32", 4),
        ("int16", "I16", 2),
        ("int8", "I8", 1),
        ("uint8", "U8", 1),
        ("bool", "BOOL", 1),
        ("complex64", "C64", 8),
    ],
)
@pytest.mark.parametrize("byteorder", [b"little", b"big", None])
def test_every_typed_storage_arrives_little_endian(
    tmp_path: Path, dtype: str, name: str, itemsize: int, byteorder: bytes | None
) -> None:
    data = bytes(range(6 * itemsize))
    convert(write(tmp_path, torch_zip({"a": tensor("0", (3, 2), dtype=dtype)}, {"0": data}, byteorder=byteorder)))
    width = 4 if dtype == "complex64" else itemsize
    swapped = b"".join(data[at : at + width][::-1] for at in range(0, len(data), width))
    expected = swapped if byteorder == b"big" else data
    assert read(tmp_path / "m.safetensors").tensors["a"] == (name, (3, 2), expected)


@pytest.mark.parametrize(
    ("dtype", "name", "itemsize", "shape"),
    [
        ("uint16", "U16", 2, (4, 3)),
        ("uint32", "U32", 4, (4, 3)),
        ("uint64", "U64", 8, (4, 3)),
        ("float8_e4m3fn", "F8_E4M3", 1, (4, 3)),
        ("float8_e5m2", "F8_E5M2", 1, (4, 3)),
        ("float8_e8m0fnu", "F8_E8M0", 1, (4, 3)),
        ("float8_e4m3fnuz", "F8_E4M3FNUZ", 1, (4, 3)),
        ("float8_e5m2fnuz", "F8_E5M2FNUZ", 1, (4, 3)),
        ("float4_e2m1fn_x2", "F4", 1, (4, 6)),
    ],
)
def test_every_untyped_storage_arrives(
    tmp_path: Path, dtype: str, name: str, itemsize: int, shape: tuple[int, ...]
) -> None:
    data = bytes(range(12 * itemsize))
    convert(write(tmp_path, torch_zip({"a": tensor_v3("0", (4, 3), dtype=dtype, itemsize=itemsize)}, {"0": data})))
    assert read(tmp_path / "m.safetensors").tensors["a"] == (name, shape, data)


def test_the_release_of_safetensors_that_is_needed_is_named(tmp_path: Path) -> None:
    value = {"a": tensor_v3("0", (4,), dtype="float8_e5m2fnuz", itemsize=1)}
    assert convert(write(tmp_path, torch_zip(value, {"0": bytes(4)}))).needs_safetensors == "0.8"


def test_big_endian_untyped_storages_are_refused(tmp_path: Path) -> None:
    value = {"a": tensor_v3("0", (4,), dtype="uint16", itemsize=2)}
    assert "big-endian" in refusal(tmp_path, torch_zip(value, {"0": bytes(8)}, byteorder=b"big"))


def test_strides_are_gathered(tmp_path: Path) -> None:
    value = {
        "transposed": tensor("0", (3, 2), stride=(1, 3), numel=6),
        "stepped": tensor("0", (3,), stride=(2,), numel=6),
        "expanded": tensor("0", (2, 3), stride=(0, 1), numel=6),
    }
    convert(write(tmp_path, torch_zip(value, {"0": floats(6)})))
    tensors = read(tmp_path / "m.safetensors").tensors
    assert struct.unpack("<6f", tensors["transposed"][2]) == (0, 3, 1, 4, 2, 5)
    assert struct.unpack("<3f", tensors["stepped"][2]) == (0, 2, 4)
    assert struct.unpack("<6f", tensors["expanded"][2]) == (0, 1, 2, 0, 1, 2)


def test_conjugation_and_negation_are_carried_out(tmp_path: Path) -> None:
    nan = float("nan")
    numbers = struct.pack("<4f", 1.0, 2.0, -0.0, nan)
    value = {
        "conj": tensor("0", (2,), dtype="complex64", metadata={"conj": True}),
        "neg": tensor("1", (4,), metadata={"neg": True}),
        "int": tensor("2", (2,), dtype="int64", metadata={"neg": True}),
    }
    storages = {"0": numbers, "1": numbers, "2": struct.pack("<2q", 5, -(2**63))}
    convert(write(tmp_path, torch_zip(value, storages)))
    tensors = read(tmp_path / "m.safetensors").tensors
    assert tensors["conj"][2] == struct.pack("<4f", 1.0, -2.0, -0.0, -nan)
    assert tensors["neg"][2] == struct.pack("<4f", -1.0, -2.0, 0.0, -nan)
    assert tensors["int"][2] == struct.pack("<2q", -5, -(2**63))


def test_metadata_of_a_tensor_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    value = {"a": tensor("0", (2,), metadata={"rotated": True})}
    assert "'rotated'" in refusal(tmp_path, torch_zip(value, {"0": floats(2)}))


@pytest.mark.parametrize("options", [{"deflated": True}, {"without_crc": True}, {"root": "größe"}, {"protocol": 4}])
def test_every_form_of_the_archive_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    convert(write(tmp_path, torch_zip({"a": tensor("0", (2, 3))}, {"0": floats(6)}, **options)))
    assert read(tmp_path / "m.safetensors").tensors["a"][2] == floats(6)


def test_missing_checksums_are_noted(tmp_path: Path) -> None:
    done = convert(write(tmp_path, torch_zip({"a": tensor("0", (6,))}, {"0": floats(6)}, without_crc=True)))
    assert any("checksum" in note for note in done.notes)


def test_a_record_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    data = bytearray(SMALL)
    at = data.index(floats(6))
    data[at] ^= 1
    assert "checksum" in refusal(tmp_path, bytes(data))


def test_a_wrong_checksum_is_found_where_only_a_view_is_used(tmp_path: Path) -> None:
    data = bytearray(torch_zip({"a": tensor("0", (2,), numel=6)}, {"0": floats(6)}))
    data[data.index(floats(6)) + 20] ^= 1
    assert "checksum" in refusal(tmp_path, bytes(data))


def test_a_tensor_outside_its_storage_is_refused(tmp_path: Path) -> None:
    value = {"a": tensor("0", (7,), numel=6)}
    assert "'a'" in refusal(tmp_path, torch_zip(value, {"0": floats(6)}))


def test_a_storage_larger_than_its_record_is_refused(tmp_path: Path) -> None:
    assert "claims" in refusal(tmp_path, torch_zip({"a": tensor("0", (7,))}, {"0": floats(6)}))


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    assert "no record" in refusal(tmp_path, torch_zip({"a": tensor("7", (6,))}, {"0": floats(6)}))


def test_two_descriptions_of_one_storage_are_refused(tmp_path: Path) -> None:
    value = {"a": tensor("0", (6,)), "b": tensor("0", (6,), dtype="int32")}
    assert "described as" in refusal(tmp_path, torch_zip(value, {"0": floats(6)}))


def test_names_that_collide_are_refused(tmp_path: Path) -> None:
    value = {"a.b": tensor("0", (2,)), "a": {"b": tensor("1", (2,))}}
    assert "'a.b'" in refusal(tmp_path, torch_zip(value, {"0": floats(2), "1": floats(2)}))


@pytest.mark.parametrize("name", ["__metadata__", "\ud800"])
def test_names_that_no_reader_accepts_are_refused(tmp_path: Path, name: str) -> None:
    assert "rename" in refusal(tmp_path, torch_zip({name: tensor("0", (2,))}, {"0": floats(2)}))


@pytest.mark.parametrize("name", ["", "a\x00b", "größe", "\U0001f600", 'quote"'])
def test_unusual_names_are_kept(tmp_path: Path, name: str) -> None:
    convert(write(tmp_path, torch_zip({name: tensor("0", (2,))}, {"0": floats(2)})))
    assert list(read(tmp_path / "m.safetensors").tensors) == [name]


@pytest.mark.parametrize(
    ("rebuild", "word", "advice"),
    [
        ("_rebuild_qtensor", "quantised", "dequantize"),
        ("_rebuild_sparse_tensor", "sparse", "to_dense"),
        ("_rebuild_nested_tensor", "nested", "unbind"),
        ("_rebuild_meta_tensor_no_storage", "meta", "load the weights"),
        ("_rebuild_wrapper_subclass", "subclass", "names of their own"),
    ],
)
def test_tensors_without_a_counterpart_are_refused_by_name(
    tmp_path: Path, rebuild: str, word: str, advice: str
) -> None:
    value = {"a": tensor("0", (2,)), "odd": Call(Name("torch._utils", rebuild), (1, 2))}
    said = refusal(tmp_path, torch_zip(value, {"0": floats(2)}))
    assert "'odd'" in said
    assert word in said
    assert advice in said


def test_a_tensor_of_two_is_refused_for_what_it_is_not_as_dangerous(tmp_path: Path) -> None:
    kind = Name("torch.testing._internal.two_tensor", "TwoTensor")
    made = Call(Name("torch._utils", "_rebuild_wrapper_subclass"), (kind, 1))
    wrapped = Call(Name("torch._tensor", "_rebuild_from_type_v2"), (made.function, kind, made.arguments, {}))
    said = refusal(tmp_path, torch_zip({"w": tensor("0", (2,)), "odd": wrapped}, {"0": floats(2)}))
    assert "'odd'" in said
    assert "wraps others" in said


@pytest.mark.parametrize("bit", ["conj", "neg"])
@pytest.mark.parametrize("value", [False, 1])
def test_a_lazy_bit_that_is_not_true_is_refused_for_torch_sets_it_all_the_same(
    tmp_path: Path, bit: str, value: object
) -> None:
    odd = tensor("0", (2,), dtype="complex64", metadata={bit: value})
    assert "not understood" in refusal(tmp_path, torch_zip({"odd": odd}, {"0": floats(4)}))


def test_a_part_of_a_distributed_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "__0_0.distcp"
    path.write_bytes(torch_zip(tensor("0", (2,)), {"0": floats(2)}))
    with pytest.raises(ConversionError, match="dcp_to_torch_save"):
        convert(path)
    with pytest.raises(ConversionError, match="dcp_to_torch_save"):
        convert(tmp_path, tmp_path.with_name("out"))
    assert not tmp_path.with_name("out").exists()


def test_an_exported_program_is_named(tmp_path: Path) -> None:
    records = [("m/data/weights/weight_0", floats(2)), ("m/models/model.json", b"{}"), ("m/archive_format", b"pt2")]
    assert "torch.export" in refusal(tmp_path, archive(*records))


def test_complex128_is_refused_with_a_way_out(tmp_path: Path) -> None:
    value = {"a": tensor("0", (1,), dtype="complex128")}
    assert "complex64" in refusal(tmp_path, torch_zip(value, {"0": bytes(16)}))


def test_a_refused_tensor_outside_the_selection_does_not_matter(tmp_path: Path) -> None:
    value = {"model": {"w": tensor("0", (2,))}, "q": Call(Name("torch._utils", "_rebuild_qtensor"), (1, 2))}
    done = convert(write(tmp_path, torch_zip(value, {"0": floats(2)})))
    assert [(item.path, item.kind) for item in done.left_out] == [("q", "tensor")]


def test_an_expansion_bomb_is_refused(tmp_path: Path) -> None:
    value = {"a": tensor("0", (1 << 40,), stride=(0,), numel=1)}
    assert "expanded" in refusal(tmp_path, torch_zip(value, {"0": floats(1)}))


def test_a_deflated_bomb_is_refused(tmp_path: Path) -> None:
    zeros = bytes(64 << 20)
    value = {"a": tensor("0", (16 << 20,))}
    assert "bomb" in refusal(tmp_path, torch_zip(value, {"0": zeros}, deflated=True))


@pytest.mark.parametrize("size", [(1 << 62, 4), (1 << 63,), (-1,)])
def test_sizes_that_overflow_are_refused(tmp_path: Path, size: tuple[int, ...]) -> None:
    refusal(tmp_path, torch_zip({"a": tensor("0", size, stride=(1,) * len(size), numel=1)}, {"0": floats(1)}))


def test_more_dimensions_than_any_tensor_has_are_refused(tmp_path: Path) -> None:
    value = {"a": tensor("0", (1,) * 65, numel=1)}
    assert "65 dimensions" in refusal(tmp_path, torch_zip(value, {"0": floats(1)}))


def test_a_duplicate_record_is_refused(tmp_path: Path) -> None:
    data = torch_zip({"a": tensor("0", (6,))}, {"0": floats(6)}, extra=[Member(name=b"archive/data/0", data=bytes(24))])
    assert "ambiguous" in refusal(tmp_path, data)


def test_a_record_outside_the_root_is_refused(tmp_path: Path) -> None:
    data = torch_zip({"a": tensor("0", (6,))}, {"0": floats(6)}, extra=[Member(name=b"other/data/0", data=bytes(24))])
    assert "root" in refusal(tmp_path, data)


def test_a_local_name_that_differs_is_refused(tmp_path: Path) -> None:
    extra = [Member(name=b"archive/x", data=b"x", local_name=b"archive/y")]
    assert "ambiguous" in refusal(tmp_path, torch_zip({"a": tensor("0", (6,))}, {"0": floats(6)}, extra=extra))


def test_bytes_before_the_archive_are_refused(tmp_path: Path) -> None:
    member = Member(name=b"archive/data.pkl", data=pickled({}))
    refusal(tmp_path, Archive(members=(member,), prefix=b"x" * 64).build())


def test_an_archive_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    assert "no data.pkl" in refusal(tmp_path, Archive(members=(Member(name=b"a/b", data=b"x"),)).build())


def test_bytes_after_the_pickle_are_refused(tmp_path: Path) -> None:
    data = torch_zip({}, {"0": floats(6)}, data_pkl=pickled({"a": tensor("0", (6,))}) + b"junk")
    assert "4 bytes follow" in refusal(tmp_path, data)


def test_a_malformed_pickle_is_refused(tmp_path: Path) -> None:
    assert "data.pkl" in refusal(tmp_path, torch_zip({}, {}, data_pkl=b"\x80\x02}0."))


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    assert "no tensors" in refusal(tmp_path, torch_zip({"a": 1}, {}))


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    assert "this is GGUF" in refusal(tmp_path, b"GGUF" + bytes(100))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path, b"")


def test_a_dry_run_writes_nothing_and_says_what_it_would(tmp_path: Path) -> None:
    done = convert(write(tmp_path, SMALL), dry_run=True)
    assert not done.written
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.pt"]
    convert(tmp_path / "m.pt")
    assert done.target.size == (tmp_path / "m.safetensors").stat().st_size


def test_progress_adds_up_to_the_size_of_the_output(tmp_path: Path) -> None:
    told: list[int] = []
    done = convert(write(tmp_path, SMALL), progress=told.append)
    assert sum(told) == done.target.size


def test_digests_of_whole_files_are_given_on_request(tmp_path: Path) -> None:
    done = convert(write(tmp_path, SMALL), digest=True)
    assert done.source.sha256 == hashlib.sha256(SMALL).hexdigest()
    assert done.target.sha256 == hashlib.sha256((tmp_path / "m.safetensors").read_bytes()).hexdigest()


def test_copying_without_verifying_gives_the_same_file(tmp_path: Path) -> None:
    source = write(tmp_path, SMALL)
    done = convert(source, tmp_path / "copied.safetensors", verify=False)
    convert(source, tmp_path / "verified.safetensors")
    assert (tmp_path / "copied.safetensors").read_bytes() == (tmp_path / "verified.safetensors").read_bytes()
    assert not done.verified
    assert done.tensors[0].sha256 is None


def test_a_parameter_is_a_tensor(tmp_path: Path) -> None:
    rebuilt = Call(Name("torch._utils", "_rebuild_parameter"), (tensor("0", (2,)), True, ordered({})))
    stated = Call(
        Name("torch._utils", "_rebuild_parameter_with_state"),
        (tensor("1", (2,)), True, ordered({}), {"loader": Name("vllm", "weight_loader")}),
    )
    convert(write(tmp_path, torch_zip({"a": rebuilt, "b": stated}, {"0": floats(2), "1": floats(2, 5)})))
    tensors = read(tmp_path / "m.safetensors").tensors
    assert (tensors["a"][2], tensors["b"][2]) == (floats(2), floats(2, 5))


def test_unknown_classes_are_kept_inert_and_named(tmp_path: Path) -> None:
    settings = Call(Name("argparse", "Namespace"), (), state={"lr": 0.1}, new=True)
    value = {"state_dict": {"w": tensor("0", (2,))}, "args": settings}
    done = convert(write(tmp_path, torch_zip(value, {"0": floats(2)})))
    assert ("args", "argparse.Namespace") in [(item.path, item.kind) for item in done.left_out]
    assert any("argparse.Namespace" in note for note in done.notes)


def test_a_storage_of_its_own_is_left_out(tmp_path: Path) -> None:
    value = {"w": tensor("0", (2,)), "s": Persistent(("storage", Name("torch", "FloatStorage"), "0", "cpu", 2))}
    done = convert(write(tmp_path, torch_zip(value, {"0": floats(2)})))
    assert [(item.path, item.kind) for item in done.left_out] == [("s", "storage")]
