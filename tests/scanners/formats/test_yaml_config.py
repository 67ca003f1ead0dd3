import pytest

from scanners.errors import FormatError
from scanners.facts import Reference
from scanners.formats import yaml_config, yaml_text
from tests.builders.readings import read_with, survive_mutations, uncovered

MLMODEL = b"""artifact_path: model
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.11.4
  sklearn:
    pickled_model: model.pkl
    code: null
signature:
  inputs: '[{"type": "double"}]'
"""


def references(text: str, name: str = "config.yaml") -> set[tuple[str, str]]:
    facts = read_with(yaml_config, text.encode(), name=name).facts
    return {(fact.kind, fact.target) for fact in facts if isinstance(fact, Reference)}


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['id']",
        "!!python/object/apply:os.system\nargs: ['id']",
        "- !!python/object/apply:os.system [id]",
        "{a: !!python/object/apply:os.system [id]}",
        "a: !<tag:yaml.org,2002:python/object/apply:os.system> [id]",
        "%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!object/apply:os.system [id]",
        "%TAG ! tag:yaml.org,2002:python/object/\n---\na: !apply:os.system [id]",
        "a: !!python%2fobject%2fapply:os.system [id]",
        "? !!python/object/apply:os.system [id]\n: x",
        "!!python/object/new:os.system [id]",
        "&anchor !!python/name:os.system",
    ],
)
def test_a_python_tag_is_found_in_every_spelling(text: str) -> None:
    assert ("python-tag", "os.system") in references(text)


@pytest.mark.parametrize(
    "text", ["# a: !!python/object/apply:os.system", "a: !!python/tuple [1, 2]", "a: !!int 3", "a: b!c", "a: !custom x"]
)
def test_other_tags_and_comments_are_quiet(text: str) -> None:
    assert references(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "model:\n  _target_: os.system",
        "model: {_target_: os.system, command: id}",
        "layers:\n  - name: a\n    _target_: os.system",
        "model: {\n  a: 1,\n  '_target_': \"os.system\"\n}",
        "- _target_: 'os.system'",
    ],
)
def test_hydra_targets_are_found(text: str) -> None:
    assert ("callable", "os.system") in references(text)


def test_text_in_block_scalars_is_no_mapping() -> None:
    assert references("doc: |\n  _target_: os.system\nother: 1") == set()


def test_an_mlmodel_names_its_loader() -> None:
    assert references(MLMODEL.decode(), "MLmodel") == {
        ("mlflow", "mlflow.sklearn"),
        ("mlflow", "model.pkl"),
    }
    assert ("mlflow", "evil") in references("flavors:\n  python_function:\n    loader_module: evil", "MLmodel")


def test_paths_follow_the_indentation() -> None:
    found = [(entry.path, entry.value) for entry in yaml_text.entries("a:\n  b: 1\n  c:\n    - d: x\nb: 2\n")]
    assert found == [(("a", "b"), "1"), (("a", "c", "d"), "x"), (("b",), "2")]


def test_bytes_that_are_not_text_are_malformed() -> None:
    with pytest.raises(FormatError):
        read_with(yaml_config, b"a: \xff\xfe\x00", name="x.yaml")


def test_everything_is_accounted_for() -> None:
    assert uncovered(read_with(yaml_config, MLMODEL, name="MLmodel")) == 0


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(yaml_config, [MLMODEL, b"a: {b: [1, 'x'], c: !!python/name:os.system}"], name="x.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "? _target_\n: os.system",
        "_target_:\n  os.system",
        "_target_: >-\n  os.system",
        "m:\n  _target_: |\n\n    os.system\n  other: x",
        '_target_: "os\\x2esystem"',
        '"_target\\x5f": os.system',
        "x: &a os.system\ny: {_target_: *a}",
        "x: &a 'os.system'\ny:\n  _target_: *a",
        "_target_: &a os.system",
        "_target_: ${x.y}\nx:\n  y: os.system",
        "_target_: !!str os.system",
        "- - _target_: os.system",
        "--- {_target_: os.system}",
        "--- _target_: os.system",
        "a: 1\r_target_: os.system\r",
        "a: 1\x85_target_: os.system",
        "a: 1\u2028_target_: os.system",
        "&k _target_: os.system",
        "!!str _target_: os.system",
        "a: &k _target_\n*k : os.system",
        '_target_: "os\\\n  \\.system"',
        '_target_: "os\\\n  .system"\nb: 1',
        'a: "b" # "\n_target_: os.system',
    ],
)
def test_a_target_is_found_however_yaml_writes_it(text: str) -> None:
    facts = read_with(yaml_config, text.encode(), name="c.yaml").facts
    assert "os.system" in [fact.target for fact in facts if isinstance(fact, Reference) and fact.kind == "callable"]


@pytest.mark.parametrize(
    "text",
    [
        "flavors: {python_function: {loader_module: evil}}",
        '{"flavors": {"python_function": {"loader_module": "evil"}}}',
    ],
)
def test_an_mlmodel_in_flow_style_is_read(text: str) -> None:
    facts = read_with(yaml_config, text.encode(), name="MLmodel").facts
    assert [fact.target for fact in facts if isinstance(fact, Reference)] == ["evil"]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1 # x\r\nb: !!python/name:os.system",
        "a: 1 # x\rb: !!python/name:os.system",
        "a: 1 # x\x85b: !!python/name:os.system",
        "a: [' #', !!python/name:os.system ]",
        'a: ["\n # ", !!python/name:os.system ]',
    ],
)
def test_a_tag_is_found_where_no_comment_hides_it(text: str) -> None:
    assert [tag.name for tag in yaml_text.tags(yaml_text.text_of(text.encode()))] == [
        "tag:yaml.org,2002:python/name:os.system"
    ]


def test_what_follows_a_list_that_ends_early_is_read() -> None:
    assert [entry.value for entry in yaml_text.entries("a:\n- b\n-   \n-  ''\n- c: 1\n")] == ["b", "", "1"]


def test_aliases_of_aliases_are_counted() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert yaml_text.expansion("\n".join(lines)) > 1_000_000
    assert yaml_text.expansion("a: &a 1\nb: *a\nc: [*a, *a]\nd: 3 * 4 & 5") == 3
    assert yaml_text.expansion("base: &b\n  x: 1\nother:\n  <<: *b\n  y: &c\n    z: *b") == 2


def test_entries_are_put_together_to_the_mappings_they_came_from() -> None:
    text = "a:\n- k: 1\n  l:\n    m: 2\n- k: 3\n  n: [x]\nb:\n- u\n- v\n"
    assert yaml_text.tree(yaml_text.entries(text)) == {
        "a": [{"k": "1", "l": {"m": "2"}}, {"k": "3"}],
        "b": ["u", "v"],
    }


def test_lists_in_lists_on_one_line_are_read_through_once() -> None:
    assert references("- " * 400_000 + "x: 1\n") == set()
    assert references("- - ? - _target_: os.system\n") == {("callable", "os.system")}
