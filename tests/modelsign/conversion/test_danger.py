from pathlib import Path

import pytest

from modelsign import convert
from modelsign.errors import ConversionError
from tests.builders.checkpoints import Call, Name, floats, tensor, torch_legacy, torch_zip


@pytest.mark.parametrize(
    "call",
    [
        Call(Name("os", "system"), ("echo x",)),
        Call(Name("posix", "system"), ("echo x",)),
        Call(Name("builtins", "exec"), ("pass",)),
        Call(Name("__builtin__", "eval"), ("1",)),
        Call(Name("subprocess", "Popen"), (("id",),), new=True),
    ],
)
def test_a_dangerous_callable_refuses_the_file_and_is_named(tmp_path: Path, call: Call) -> None:
    source = tmp_path / "m.pt"
    source.write_bytes(torch_zip({"model": {"w": tensor("0", (2,))}, "x": call}, {"0": floats(2)}))
    with pytest.raises(ConversionError, match="dangerous") as caught:
        convert(source)
    assert call.function.name in str(caught.value)
    assert "byte" in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.pt"]


def test_a_dangerous_callable_in_the_system_info_refuses_a_legacy_file(tmp_path: Path) -> None:
    source = tmp_path / "m.pt"
    call = Call(Name("os", "system"), ("echo x",))
    value = {"w": tensor("0", (2,), view=None)}
    source.write_bytes(torch_legacy(value, {"0": (2, floats(2))}, sys_info={"x": call}))
    with pytest.raises(ConversionError, match=r"system info.*os\.system"):
        convert(source)


def test_a_dangerous_callable_behind_getattr_is_found(tmp_path: Path) -> None:
    module = Call(Name("importlib", "import_module"), ("os",))
    run = Call(Name("builtins", "getattr"), (module, "system"))
    call = Call(run, ("echo x",))  # type: ignore[arg-type]  # a computed callable
    source = tmp_path / "m.pt"
    source.write_bytes(torch_zip({"w": tensor("0", (2,)), "x": call}, {"0": floats(2)}))
    with pytest.raises(ConversionError, match="dangerous"):
        convert(source)


def test_a_payload_before_damage_is_named_as_what_it_is(tmp_path: Path) -> None:
    source = tmp_path / "m.pt"
    source.write_bytes(torch_zip({}, {}, data_pkl=b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00x\x85R0"))
    with pytest.raises(ConversionError, match=r"os\.system"):
        convert(source)


def test_a_call_on_a_tensor_is_refused(tmp_path: Path) -> None:
    value = {"w": Call(Name("torch._utils", "_rebuild_parameter"), (tensor("0", (2,)), True, None), state={"data": 1})}
    source = tmp_path / "m.pt"
    source.write_bytes(torch_zip(value, {"0": floats(2)}))
    with pytest.raises(ConversionError):
        convert(source)
