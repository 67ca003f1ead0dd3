import pytest

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Operator
from scanners.formats import pbtxt
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered

HOSTILE = rb"""# exported
saved_model_schema_version: 1
meta_graphs {
  graph_def {
    node {
      name: "p" op: "Const"
      attr { key: "value" value { tensor { dtype: DT_STRING string_val: "/et" "c/\x70asswd" } } }
    }
    node < name: 'r'; op: "ReadFile", input: "p" >
    library { function {
      signature { name: "f" input_arg { name: "x" } }
      node_def { name: "w" op: "WriteFile" input: "x" }
    } }
  }
}
"""


def test_operators_and_their_constants_are_stated() -> None:
    facts = [fact for fact in read_with(pbtxt, HOSTILE).facts if isinstance(fact, Operator)]
    assert [fact.name for fact in facts] == ["ReadFile", "WriteFile"]
    assert ("constant", "/etc/passwd") in facts[0].arguments


def test_a_frozen_graph_is_read() -> None:
    content = b'node {\n  name: "a"\n  op: "PyFunc"\n}\n'
    assert pbtxt.matches(blob_of(content, "graph.txt"))
    assert [fact.name for fact in read_with(pbtxt, content).facts if isinstance(fact, Operator)] == ["PyFunc"]


@pytest.mark.parametrize(
    "text",
    [
        'node: [{ name: "a" op: "NoOp" }, { name: "p" op: "PyFunc" }]',
        'node { input: "x" name: "p" op: "PyFunc" }',
        'node {\n  # first\n  device: "" op: "Py" "Func" name: "p" }',
        'node: [< name: "p" op: "PyFunc" >]',
        "library { function: [{ signature { name: 'f' } node_def: [{ name: 'p' op: 'PyFunc' }] }] }",
    ],
)
def test_every_spelling_of_a_node_is_read(text: str) -> None:
    assert pbtxt.matches(blob_of(text.encode(), "graph.pbtxt"))
    facts = read_with(pbtxt, text.encode(), name="graph.pbtxt").facts
    assert [fact.name for fact in facts if isinstance(fact, Operator)] == ["PyFunc"]


def test_strings_in_lists_are_separated_by_commas_only() -> None:
    assert pbtxt.parse('a: ["x" "y", "z"] b: "w" c: [] d: 1') == [("a", "xy"), ("a", "z"), ("b", "w"), ("d", "1")]


def test_other_text_is_left_alone() -> None:
    assert not pbtxt.matches(blob_of(b'name: "net"\nlayer { }', "deploy.prototxt"))
    assert uncovered(read_with(pbtxt, HOSTILE)) == 0


@pytest.mark.parametrize("text", ["a {", "}", 'a: "x', "a { b { } } }"])
def test_what_does_not_close_is_malformed(text: str) -> None:
    with pytest.raises(FormatError):
        pbtxt.parse(text)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        pbtxt.parse("a {" * 1000)


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(pbtxt, [HOSTILE], name="saved_model.pbtxt")


@pytest.mark.parametrize("text", ["node", "meta_graphs:", "node { #\n"])
def test_spaces_without_end_are_passed_once(text: str) -> None:
    assert not pbtxt.matches(blob_of((text + " " * 4096).encode()))
