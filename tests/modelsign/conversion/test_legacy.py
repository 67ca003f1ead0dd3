import pickle
from pathlib import Path
from typing import Any

import pytest

from modelsign import convert
from modelsign.conversion.inputs.torch_legacy import MAGIC
from modelsign.errors import ConversionError
from tests.builders.checkpoints import Call, Name, Persistent, floats, pickled, tensor, torch_legacy, torch_tar
from tests.modelsign.conversion.reading import in_memory, read


def converted(folder: Path, data: bytes) -> dict[str, bytes]:
    (folder / "m.pt").write_bytes(data)
    convert(folder / "m.pt")
    return {name: raw for name, (_, _, raw) in read(folder / "m.safetensors").tensors.items()}


def refusal(folder: Path, data: bytes) -> str:
    (folder / "m.pt").write_bytes(data)
    with pytest.raises(ConversionError) as caught:
        convert(folder / "m.pt")
    assert [entry.name for entry in folder.iterdir()] == ["m.pt"]
    return str(caught.value)


def old(key: str, shape: tuple[int, ...], **options: Any) -> Call:
    return tensor(key, shape, **{"view": None, **options})


def test_storages_lie_in_the_order_of_the_list(tmp_path: Path) -> None:
    data = torch_legacy(
        {"a": old("7", (2,)), "b": old("12", (3,))},
        {"7": (2, floats(2)), "12": (3, floats(3, 10))},
        keys=["7", "12"],
    )
    assert converted(tmp_path, data) == {"a": floats(2), "b": floats(3, 10)}


@pytest.mark.parametrize("protocol", range(6))
def test_the_magic_number_is_known_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    data = torch_legacy({"a": old("1", (2,))}, {"1": (2, floats(2))})
    data = pickle.dumps(MAGIC, protocol) + data.removeprefix(pickled(MAGIC))
    assert converted(tmp_path, data) == {"a": floats(2)}


def test_a_storage_that_no_tensor_uses_is_stepped_over(tmp_path: Path) -> None:
    alone = Persistent(("storage", Name("torch", "DoubleStorage"), "1", "cpu", 2, None))
    data = torch_legacy({"s": alone, "a": old("2", (2,))}, {"1": (2, bytes(16)), "2": (2, floats(2))})
    assert converted(tmp_path, data) == {"a": floats(2)}


def test_view_metadata_moves_the_start(tmp_path: Path) -> None:
    value = {"a": old("1", (2,), numel=6, view=("v", 3, 3), offset=1), "b": old("1", (6,))}
    assert converted(tmp_path, torch_legacy(value, {"1": (6, floats(6))})) == {"a": floats(2, 4), "b": floats(6)}


def test_a_view_outside_its_root_is_refused(tmp_path: Path) -> None:
    value = {"a": old("1", (2,), numel=6, view=("v", 3, 4))}
    assert "view" in refusal(tmp_path, torch_legacy(value, {"1": (6, floats(6))}))


def test_a_tensor_outside_its_view_is_refused(tmp_path: Path) -> None:
    value = {"a": old("1", (3,), numel=6, view=("v", 0, 2))}
    assert "reaches" in refusal(tmp_path, torch_legacy(value, {"1": (6, floats(6))}))


def test_python_2_keys_are_read(tmp_path: Path) -> None:
    parts = (b"storage", Name("torch", "FloatStorage"), b"1", b"cpu", 2, None)
    call = Call(Name("torch._utils", "_rebuild_tensor"), (Persistent(parts), 0, (2,), (1,)))
    assert converted(tmp_path, torch_legacy({b"a": call}, {"1": (2, floats(2))}, key_list=[b"1"])) == {"a": floats(2)}


def test_bytes_behind_the_last_storage_are_noted(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(torch_legacy({"a": old("1", (2,))}, {"1": (2, floats(2))}, trailer=b"junk"))
    assert any("4 bytes follow" in note for note in convert(tmp_path / "m.pt").notes)


def test_a_big_endian_file_is_refused(tmp_path: Path) -> None:
    data = torch_legacy({"a": old("1", (2,))}, {"1": (2, floats(2))}, little_endian=False)
    assert "big-endian" in refusal(tmp_path, data)


@pytest.mark.parametrize("keys", [["1", "1"], ["1", "9"], [1], "1", []])
def test_a_list_of_storages_that_is_wrong_is_refused(tmp_path: Path, keys: Any) -> None:
    refusal(tmp_path, torch_legacy({"a": old("1", (2,))}, {"1": (2, floats(2))}, key_list=keys))


def test_a_count_that_differs_is_refused(tmp_path: Path) -> None:
    assert "should have 2" in refusal(tmp_path, torch_legacy({"a": old("1", (2,))}, {"1": (3, floats(3))}))


def test_every_truncation_of_a_legacy_file_is_refused() -> None:
    data = torch_legacy({"a": old("1", (2,)), "b": old("2", (2,))}, {"1": (2, floats(2)), "2": (2, floats(2))})
    for length in range(len(data)):
        with pytest.raises(ConversionError):
            in_memory(data[:length])


def test_a_module_with_its_source_is_walked(tmp_path: Path) -> None:
    linear = Persistent(("module", Name("__main__", "Net"), "net.py", "class Net: ..."))
    state = {"_parameters": {"w": old("1", (2,))}, "_buffers": {}, "_modules": {}}
    made = Call(linear, (), state=state, new=True)  # type: ignore[arg-type]  # a persistent id stands for the class
    assert converted(tmp_path, torch_legacy(made, {"1": (2, floats(2))})) == {"w": floats(2)}


TAR = {
    "names": {"a": "100", "b": "101", "v": "102"},
    "storages": [("1", "float32", 6, floats(6)), ("2", "int64", 1, bytes(range(8)))],
    "tensors": [
        ("100", "1", "float32", (2, 3), (3, 1), 0),
        ("101", "2", "int64", (1,), (1,), 0),
        ("102", "3", "float32", (2,), (1,), 1),
    ],
    "views": [("3", "1", 2, 3)],
}


def tar(**changes: Any) -> bytes:
    return torch_tar(**{**TAR, **changes})


def test_an_old_tar_arrives(tmp_path: Path) -> None:
    assert converted(tmp_path, tar()) == {"a": floats(6), "b": bytes(range(8)), "v": floats(2, 3)}


@pytest.mark.parametrize("member", ["pickle", "tensors", "storages"])
def test_a_tar_without_a_member_is_refused(tmp_path: Path, member: str) -> None:
    assert repr(member) in refusal(tmp_path, tar(without=[member]))


@pytest.mark.parametrize(
    "change",
    [
        {"names": {"a": "999"}},
        {"tensors": [("100", "9", "float32", (2, 3), (3, 1), 0)]},
        {"tensors": [("100", "1", "int64", (2, 3), (3, 1), 0)], "names": {"a": "100"}},
        {"tensors": [("100", "1", "float32", (2, 4), (4, 1), 0)], "names": {"a": "100"}},
        {"tensors": [("100", "1", "float32", (-2,), (1,), 0)], "names": {"a": "100"}},
        {"tensors": [("100", "1", "float32", (2,), (1,), 0)] * 2, "names": {"a": "100"}},
        {"storages": [("1", "float32", 6, floats(6))] * 2},
        {"storages": [("1", "float32", 600, floats(6))]},
        {"storages": [("1", "float32", -1, b"")]},
        {"views": [("3", "1", 5, 3)]},
        {"views": [("3", "9", 0, 1)]},
        {"views": [("3", "1", -1, 1)]},
        {"views": [("1", "1", 0, 1)]},
    ],
)
def test_a_tar_whose_tables_are_wrong_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    refusal(tmp_path, tar(**change))


def test_every_truncation_of_a_tar_is_refused_or_complete() -> None:
    data = tar()
    whole = in_memory(data).tensors
    for length in range(0, len(data), 3):
        try:
            assert in_memory(data[:length]).tensors == whole  # the end of an archive is padding
        except ConversionError:
            continue
