import pytest

from scanners.findings import Verdict
from tests.builders.protobufs import constant, function, node, saved_model, text_attribute
from tests.builders.tensorflow_bundles import checkpoint, thing
from tests.scanners.rules.examples import Example, scan_files

GOOD = saved_model([node("a", "MatMul"), node("b", "Relu", ["a"])])


def _twins(bad: bytes, good: bytes = GOOD) -> Example:
    return Example(bad=lambda: {"saved_model.pb": bad}, good=lambda: {"saved_model.pb": good})


EXAMPLES = {
    "MS520": _twins(saved_model([constant("p", "/tmp/x"), node("w", "WriteFile", ["p", "p"])])),
    "MS521": _twins(
        saved_model([constant("p", "/etc/passwd"), node("r", "ReadFile", ["p"])]),
        saved_model(
            [constant("p", "v.txt"), node("i", "InitializeTableFromTextFileV2", ["t", "p"])], assets={"p:0": "v"}
        ),
    ),
    "MS522": _twins(saved_model([node("p", "PyFunc")])),
    "MS523": _twins(saved_model([node("d", "DataServiceDatasetV4", ["a", "b", "c", "d"])])),
    "MS524": _twins(saved_model([node("c", "MyCustomOp")])),
    "MS525": _twins(saved_model([node("x", "XlaCustomCallV2")])),
    "MS527": Example(
        bad=lambda: checkpoint(thing(saver=("my_package.Saver", "table"))),
        good=lambda: checkpoint(thing(children={"table": 0})),
    ),
    "MS526": _twins(
        saved_model([node("a", "Relu")], assets={"v:0": "../../x"}),
        saved_model([node("a", "Relu")], assets={"v:0": "x"}),
    ),
}


def verdict(*nodes: bytes, functions: tuple[bytes, ...] = ()) -> Verdict:
    return scan_files({"saved_model.pb": saved_model(nodes, functions)}).verdict


SAVE = [
    node("name", "StringJoin", ["file_prefix", "part"]),
    constant("part", "_temp/part"),
    node("s", "SaveV2", ["name"]),
]


def test_what_every_savedmodel_has_for_its_variables_is_quiet() -> None:
    traced = function("__inference__traced_save_12", ["file_prefix"], SAVE)
    assert verdict(node("a", "Relu"), functions=(traced,)) is Verdict.CLEAN
    assert verdict(constant("save/Const", "model"), node("save/SaveV2", "SaveV2", ["save/Const"])) is Verdict.CLEAN


def test_the_same_operators_elsewhere_are_not() -> None:
    serving = function("__inference_signature_wrapper_3", ["file_prefix"], SAVE)
    assert verdict(node("a", "Relu"), functions=(serving,)) is Verdict.SUSPICIOUS


def test_a_saver_with_a_prefix_of_its_own_writes_where_it_likes() -> None:
    inner = [constant("p", "/root/.ssh/x"), node("s", "SaveV2", ["p"])]
    assert (
        verdict(node("a", "Relu"), functions=(function("__inference__traced_save_1", [], inner),)) is Verdict.MALICIOUS
    )


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node("p", "PrintV2", ["x"], text_attribute("output_stream", "file:///tmp/x"))], Verdict.MALICIOUS),
        ([node("p", "PrintV2", ["x"], text_attribute("output_stream", "stderr"))], Verdict.CLEAN),
        ([node("i", "Placeholder"), node("r", "ReadFile", ["i"])], Verdict.SUSPICIOUS),
        ([node("i", "Placeholder"), node("w", "WriteFile", ["i"])], Verdict.MALICIOUS),
        ([constant("n", ""), node("c", "CacheDatasetV2", ["d", "n"])], Verdict.CLEAN),
        ([constant("n", "/tmp/c"), node("c", "CacheDatasetV2", ["d", "n"])], Verdict.MALICIOUS),
        ([node("d", "DebugIdentityV3", ["x"], text_attribute("debug_urls", "grpc://h:1"))], Verdict.MALICIOUS),
        ([node("e", "EagerPyFunc")], Verdict.MALICIOUS),
        ([node("s", "SentencepieceOp")], Verdict.CLEAN),
    ],
)
def test_severity_follows_what_the_operator_does(nodes: list[bytes], expected: Verdict) -> None:
    assert verdict(*nodes) is expected


@pytest.mark.parametrize("operator", ["DecodeProtoV2", "EncodeProto"])
def test_descriptors_from_a_file_are_read(operator: str) -> None:
    assert verdict(node("d", operator, ["x"], text_attribute("descriptor_source", "/etc/x"))) is Verdict.MALICIOUS
    assert verdict(node("d", operator, ["x"], text_attribute("descriptor_source", "local://"))) is Verdict.CLEAN


def test_a_reader_reads_what_is_put_into_its_queue() -> None:
    queue = [node("q", "FIFOQueueV2"), node("e", "QueueEnqueueManyV2", ["q", "p"]), node("r", "WholeFileReaderV2")]
    assert verdict(constant("p", "/etc/shadow"), *queue) is Verdict.MALICIOUS
    assert verdict(constant("p", "digits.png"), *queue) is Verdict.CLEAN


def test_savedmodel_printv2_to_a_file() -> None:
    text = b'node { name: "p" op: "PrintV2" attr { key: "output_stream" value { s: "file:///tmp/x" } } }'
    assert (
        scan_files({"saved_model.pbtxt": b"meta_graphs { graph_def { " + text + b" } }"}).verdict is Verdict.MALICIOUS
    )


def test_savedmodel_savev2_to_a_constant_path() -> None:
    assert verdict(constant("p", "/tmp/x"), node("s", "SaveV2", ["p"])) is Verdict.MALICIOUS


@pytest.mark.parametrize("operator", ["ReadFile", "TFRecordDataset", "CSVDatasetV2", "WholeFileReaderV2"])
def test_a_reader_of_files_that_nothing_in_the_graph_names_is_suspicious(operator: str) -> None:
    assert verdict(node("r", operator)) is Verdict.SUSPICIOUS


def test_a_dataset_over_a_file_outside_the_model_is_malicious() -> None:
    assert verdict(constant("p", "/etc/passwd"), node("d", "CSVDatasetV2", ["p"])) is Verdict.MALICIOUS


def test_registering_at_a_data_service_talks_to_the_network() -> None:
    nodes = (constant("a", "198.51.100.7:5000"), constant("p", "grpc"), node("r", "RegisterDatasetV2", ["d", "a", "p"]))
    assert verdict(*nodes) is Verdict.SUSPICIOUS
