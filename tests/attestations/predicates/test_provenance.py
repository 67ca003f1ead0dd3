from typing import Any

import pytest

from attestations.errors import EnvelopeError
from attestations.predicates.provenance import Provenance, Resource
from tests.builders.statements import NOW

PROVENANCE = Provenance(
    build_type="https://example.org/build/v1",
    external_parameters={"targets": []},
    internal_parameters={"pickleExecuted": False},
    dependencies=(
        Resource(name="b.bin", sha256="bb" * 32),
        Resource(name="a.bin", sha256="aa" * 32, uri="https://example.org/a", annotations={"size": 3}),
    ),
    builder="https://example.org/builder",
    builder_version={"modelsign-suite": "0.1.0"},
    byproducts=(Resource(name="record.json", sha256="cc" * 32),),
    finished=NOW,
)


def test_reading_gives_back_what_was_written_in_order_of_names() -> None:
    read = Provenance.parse(PROVENANCE.to_predicate())

    assert [resource.name for resource in read.dependencies] == ["a.bin", "b.bin"]
    assert read.to_predicate() == PROVENANCE.to_predicate()


def test_dependencies_that_are_no_files_are_passed_over() -> None:
    predicate: Any = PROVENANCE.to_predicate()
    predicate["buildDefinition"]["resolvedDependencies"].append({"uri": "git+x", "digest": {"gitCommit": "ab" * 20}})

    assert len(Provenance.parse(predicate).dependencies) == 2


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("buildDefinition",), None),
        (("buildDefinition", "buildType"), 1),
        (("buildDefinition", "externalParameters"), []),
        (("buildDefinition", "resolvedDependencies"), {}),
        (("buildDefinition", "resolvedDependencies"), [{"name": "a", "digest": {"sha256": "zz"}}]),
        (("runDetails",), "us"),
        (("runDetails", "builder"), {}),
        (("runDetails", "metadata"), {"finishedOn": "yesterday"}),
        (("runDetails", "builder", "version"), {"modelsign-suite": 1}),
    ],
)
def test_a_malformed_predicate_is_refused(path: tuple[str, ...], value: object) -> None:
    predicate: Any = PROVENANCE.to_predicate()
    parent = predicate
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value

    with pytest.raises(EnvelopeError):
        Provenance.parse(predicate)
