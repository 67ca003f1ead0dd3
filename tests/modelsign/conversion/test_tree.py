import pytest

from modelsign.conversion.inputs.assembly import meaning_of
from modelsign.conversion.tree import Flattened, Tree
from modelsign.errors import ConversionError
from scanners.pickles.values import Collection, Global, Made, Mapping, Span, TensorValue, Value


def tensor() -> TensorValue:
    return TensorValue(
        kind="_rebuild_tensor_v2",
        dtype="float32",
        shape=(1,),
        stride=(1,),
        storage_key="0",
        storage_dtype="float32",
        storage_numel=1,
        storage_offset=0,
        offset=0,
    )


def mapping(*entries: tuple[Value, Value]) -> Mapping:
    made = Mapping()
    made.entries.extend(entries)
    return made


def made(name: str, state: Value = None, arguments: Value = ()) -> Made:
    module, _, last = name.rpartition(".")
    result = Made(Global(module, last, 0), arguments, None, "NEWOBJ", 0)
    if state is not None:
        result.build(state)
    return result


def flatten(root: Value, select: str | None = None, *, with_values: bool = False) -> Flattened:
    tree = Tree(root, meaning=meaning_of, text=lambda span: f"text of {span.length}")
    return tree.flatten(select=select, with_values=with_values)


def names(root: Value, select: str | None = None) -> list[str]:
    return [name for name, _ in flatten(root, select).tensors]


def module(name: str, parameters: Value, buffers: Value = None, modules: Value = None, **more: Value) -> Made:
    empty = mapping()
    state = mapping(
        ("training", True),
        ("_parameters", parameters),
        ("_buffers", empty if buffers is None else buffers),
        ("_modules", empty if modules is None else modules),
        *more.items(),
    )
    return made(name, state)


def test_containers_are_joined_with_dots() -> None:
    root = mapping(("a", mapping(("b", [tensor(), (tensor(),)]))), (7, tensor()), (b"c", tensor()), (None, tensor()))
    assert names(root) == ["a.b.0", "a.b.1.0", "7", "c", "None"]


def test_a_lone_tensor_has_a_name() -> None:
    assert names(tensor()) == ["tensor"]


def test_a_later_entry_wins_and_keeps_its_place() -> None:
    first, second = tensor(), tensor()
    flat = flatten(mapping(("a", first), ("b", tensor()), ("a", second)))
    assert [name for name, _ in flat.tensors] == ["a", "b"]
    assert flat.tensors[0][1] is second


def test_keys_that_python_takes_for_equal_are_one() -> None:
    assert names(mapping((1, tensor()), (True, tensor()))) == ["True"]


def test_text_and_number_keys_are_two_names_that_collide_later() -> None:
    assert names(mapping((1, tensor()), ("1", tensor()))) == ["1", "1"]


def test_a_long_key_is_read() -> None:
    assert names(mapping((Span("str", 0, 5000), tensor()))) == ["text of 5000"]


def test_a_key_that_is_no_name_is_refused() -> None:
    with pytest.raises(ConversionError, match="no name"):
        flatten(mapping(((1, 2), tensor())))


def test_a_module_gives_its_state_dict() -> None:
    inner = module("torch.nn.modules.linear.Linear", mapping(("weight", tensor()), ("bias", None)))
    dropped = Collection(["gone"], frozen=False)
    buffers = mapping(("kept", tensor()), ("gone", tensor()))
    root = module(
        "__main__.Net",
        mapping(),
        buffers,
        mapping(("fc", inner)),
        _non_persistent_buffers_set=dropped,
        scale=tensor(),
    )
    flat = flatten(root)
    assert [name for name, _ in flat.tensors] == ["kept", "fc.weight"]
    assert {item.path for item in flat.left_out} == {"gone", "scale"}
    assert flat.classes == ("__main__.Net",)


def test_a_module_in_a_wrapper_is_taken() -> None:
    net = module("ultralytics.nn.tasks.DetectionModel", mapping(("w", tensor())))
    flat = flatten(mapping(("epoch", 1), ("model", net), ("ema", None)))
    assert flat.wrapper == "model"
    assert [name for name, _ in flat.tensors] == ["w"]


def test_a_wrapper_without_tensors_is_not_taken() -> None:
    assert flatten(mapping(("model", mapping(("name", "x"))), ("w", tensor()))).wrapper is None


def test_what_an_unknown_object_holds_is_left_out_until_it_is_selected() -> None:
    holder = made("ema.Holder", mapping(("shadow", [tensor(), tensor()])))
    flat = flatten(mapping(("w", tensor()), ("ema", holder)))
    assert [(item.path, item.kind, item.tensors) for item in flat.left_out] == [("ema.shadow", "list", 2)]
    assert names(mapping(("w", tensor()), ("ema", holder)), "ema.shadow") == ["0", "1"]


def test_tensors_only_inside_unknown_objects_are_pointed_at() -> None:
    with pytest.raises(ConversionError, match="--select"):
        flatten(mapping(("ema", made("ema.Holder", mapping(("shadow", tensor()))))))


def test_a_subclass_of_dict_is_walked() -> None:
    attributes = made("lightning.AttributeDict")
    attributes.update([("w", tensor())])
    assert names(mapping(("a", attributes))) == ["a.w"]


@pytest.mark.parametrize("kind", ["builtins.dict", "__builtin__.dict"])
def test_a_subclass_of_dict_in_the_oldest_protocols_is_walked(kind: str) -> None:
    module, _, last = kind.rpartition(".")
    start = mapping(("w", tensor()))
    arguments = (Global("my.models", "Weights", 0), Global(module, last, 0), start)
    assert names(mapping(("state_dict", made("copyreg._reconstructor", arguments=arguments)))) == ["w"]


def test_a_subclass_of_list_in_the_oldest_protocols_is_walked() -> None:
    arguments: Value = (Global("my.models", "Layers", 0), Global("builtins", "list", 0), [tensor(), tensor()])
    assert names(mapping(("a", made("copyreg._reconstructor", arguments=arguments)))) == ["a.0", "a.1"]


def test_an_object_with_both_entries_and_items_is_left_out() -> None:
    both = made("my.models.Layers")
    both.extend([tensor()])
    both.update([(0, tensor())])
    flat = flatten(mapping(("w", tensor()), ("x", both)))
    assert [name for name, _ in flat.tensors] == ["w"]
    assert [(item.path, item.tensors) for item in flat.left_out] == [("x.?", 1), ("x.?", 1)]


def typed(name: str, *arguments: Value) -> Made:
    return Made(Global("torch.jit._pickle", name, 0), arguments, None, "REDUCE", 0)


def test_lists_and_dictionaries_that_cpp_gave_types_are_walked() -> None:
    inner = typed("build_tensorlist", [tensor(), tensor()])
    root = typed(
        "restore_type_tag", mapping(("a", tensor()), ("b", typed("restore_type_tag", inner, "List[Tensor]"))), "…"
    )
    assert names(root) == ["a", "b.0", "b.1"]
    assert names(typed("restore_type_tag", mapping(("model", mapping(("w", tensor())))), "…")) == ["w"]


def test_a_typed_value_that_is_its_own_content_is_survived() -> None:
    loop = typed("restore_type_tag")
    loop.arguments = (loop, "…")
    assert names(mapping(("w", tensor()), ("x", loop))) == ["w"]


def test_lists_of_tensors_in_torchscript_are_no_state() -> None:
    layer = made("__torch__.LSTM", mapping(("w", tensor()), ("_flat_weights", typed("build_tensorlist", [tensor()]))))
    flat = flatten(layer, ".")
    assert [name for name, _ in flat.tensors] == ["w"]
    assert [(item.path, item.tensors) for item in flat.left_out] == [("_flat_weights", 1)]


def test_a_module_of_fx_gives_its_state_dict() -> None:
    inner = module("torch.nn.modules.linear.Linear", mapping(("weight", tensor())))
    body = mapping(
        ("_parameters", mapping()),
        ("_buffers", mapping()),
        ("_modules", mapping(("0", inner))),
        ("_code", "def forward"),
    )
    graph = made("torch.fx.graph_module.reduce_graph_module", arguments=(body, "import torch"))
    assert names(mapping(("model", graph), ("epoch", 1))) == ["0.weight"]


def test_tensors_that_no_path_leads_to_are_said_to_be_there() -> None:
    root = made("my.models.Pair", arguments=(tensor(), tensor()))
    with pytest.raises(ConversionError, match=r"no names.*save a dictionary"):
        flatten(root)


def test_the_beginning_of_flat_names_is_a_part() -> None:
    state = mapping(("encoder.w", tensor()), ("encoder.b", tensor()), ("encoders.w", tensor()), ("head", tensor()))
    flat = flatten(mapping(("model", state), ("n", 1)), "model.encoder")
    assert [name for name, _ in flat.tensors] == ["w", "b"]
    bare = flatten(state, "encoder")
    assert [name for name, _ in bare.tensors] == ["w", "b"]
    assert [item.path for item in bare.left_out] == ["encoders.w", "head"]


def test_the_beginning_of_names_in_two_dictionaries_is_ambiguous() -> None:
    root = mapping(("a.b.x", tensor()), ("a", mapping(("b.y", tensor()))))
    with pytest.raises(ConversionError, match="more than one thing"):
        flatten(root, "a.b")


def test_an_ambiguous_selection_is_refused() -> None:
    root = mapping(("a.b", mapping(("x", tensor()))), ("a", mapping(("b", mapping(("y", tensor()))))))
    with pytest.raises(ConversionError, match="more than one"):
        flatten(root, "a.b")


def test_plain_values_are_returned_on_request() -> None:
    root = mapping(("w", tensor()), ("n", 3), ("x", float("nan")), ("c", mapping(("l", [1, "a", None, b"z"]))))
    assert flatten(root, with_values=True).values == {"n": 3, "x": "nan", "c": {"l": [1, "a", None, "<bytes>"]}}


def test_plain_values_beside_tensors_that_are_left_out_are_returned_too() -> None:
    groups = mapping(("lr", 0.1), ("params", [0, 1]), ("capturable", False))
    moments = mapping((0, mapping(("step", tensor()), ("exp_avg", tensor()))), (1, mapping(("n", 5), ("m", tensor()))))
    optimizer = mapping(("state", moments), ("param_groups", [groups]), ("pair", [tensor(), 2]))
    root = mapping(("model", mapping(("w", tensor()))), ("optimizer", optimizer), ("extra", mapping(("t", tensor()))))
    assert flatten(root, with_values=True).values == {
        "optimizer": {
            "state": {"1": {"n": 5}},
            "param_groups": [{"lr": 0.1, "params": [0, 1], "capturable": False}],
            "pair": ["<tensor>", 2],
        }
    }


def test_an_object_is_returned_as_its_attributes_and_its_class() -> None:
    arguments = made("argparse.Namespace", mapping(("lr", 0.1), ("path", made("pathlib.PosixPath", None, ("a", "b")))))
    root = mapping(("w", tensor()), ("args", arguments))
    assert flatten(root, with_values=True).values == {
        "args": {"<class>": "argparse.Namespace", "lr": 0.1, "path": "<pathlib.PosixPath>"}
    }


def test_a_dictionary_that_contains_itself_is_survived() -> None:
    root = mapping(("w", tensor()))
    root.entries.append(("self", root))
    flat = flatten(root)
    assert [name for name, _ in flat.tensors] == ["w"]
    assert [item.kind for item in flat.left_out] == ["reference to an object around it"]


def test_an_object_that_is_its_own_state_is_survived() -> None:
    wrapper = made("lib.Results", mapping(("w", tensor())))
    wrapper.build((wrapper, None))
    assert names(mapping(("a", tensor()), ("results", wrapper))) == ["a"]
    assert names(wrapper, "w") == ["w"]


def test_a_long_chain_of_objects_that_are_states_is_survived() -> None:
    value = made("lib.Last", mapping(("w", tensor())))
    for _ in range(5000):
        value = made("lib.Link", value)
    root = mapping(("a", tensor()), ("chain", value))
    flat = flatten(root)
    assert [name for name, _ in flat.tensors] == ["a"]
    assert [(item.path, item.tensors) for item in flat.left_out] == [("chain.?", 1)]


def test_parameters_in_a_subclass_of_dict_count_in_old_protocols_too() -> None:
    base = (Global("lib", "Parameters", 0), Global("builtins", "dict", 0), mapping(("w", tensor())))
    parameters = Made(Global("copyreg", "_reconstructor", 0), base, None, "REDUCE", 0)
    assert names(module("lib.Net", parameters)) == ["w"]


def test_a_module_that_is_its_own_parameters_is_survived() -> None:
    parameters = mapping()
    loop = module("lib.Net", parameters)
    loop.states = []
    loop.build(mapping(("_parameters", loop), ("_buffers", mapping(("b", tensor()))), ("_modules", mapping())))
    assert names(loop) == ["b"]


def test_a_deep_tuple_is_survived() -> None:
    value: Value = ()
    for _ in range(200_000):
        value = (value,)
    assert names(mapping(("w", tensor()), ("deep", value))) == ["w"]


def test_a_tensor_under_a_deep_tuple_is_refused() -> None:
    value: Value = tensor()
    for _ in range(200_000):
        value = (value,)
    with pytest.raises(ConversionError, match="longer than"):
        flatten(value)


def test_a_memo_bomb_without_tensors_is_survived() -> None:
    value: Value = [1]
    for _ in range(200):
        value = [value, value]
    assert names(mapping(("w", tensor()), ("bomb", value))) == ["w"]


def test_a_memo_bomb_of_tensors_is_refused() -> None:
    value: Value = [tensor()]
    for _ in range(200):
        value = [value, value]
    with pytest.raises(ConversionError, match="exhaust"):
        flatten(value)


def test_tensors_in_a_list_that_the_machine_cuts_are_refused() -> None:
    with pytest.raises(ConversionError, match="save a dictionary"):
        flatten(mapping(("w", tensor()), ("long", [*range(70_000), tensor()])))
