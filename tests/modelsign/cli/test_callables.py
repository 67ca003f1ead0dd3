"""`modelsign callables explain`: what is known about a callable, for people and for programs."""

import json

import pytest

from modelsign.cli.main import invoke


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("os.system", ["dangerous", "process"]),
        ("collections.OrderedDict", ["harmless", "container"]),
        ("__builtin__.eval", ["dangerous", "builtins.eval"]),
        ("_codecs.encode", ["harmless in some shapes", "text-codec"]),
        ("cloudpickle.cloudpickle._make_function", ["carries code"]),
        ("mycompany.models.Net", ["unknown", "nobody"]),
        ("builtins.getattr", ["Computed through as: getattr"]),
        ("os:system", ["os.system is dangerous"]),
    ],
)
def test_says_what_is_known(name: str, words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["callables", "explain", name]) == 0
    output = capfd.readouterr().out
    assert all(word in output for word in words), output


def test_json_has_the_same_for_programs(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["callables", "explain", "os.system", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert (document["standing"], document["nature"], document["shapes"]) == ("dangerous", "process", [])


@pytest.mark.parametrize("name", ["system", "os.", "os system", ""])
def test_what_is_no_full_name_is_a_usage_error(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["callables", "explain", name]) == 2
    assert "module.name" in capfd.readouterr().err
