from scanners.facts import Operator
from scanners.formats import java_object
from tests.builders.readings import blob_of, read_with, survive_mutations
from tests.builders.runtimes import java_objects


def test_classes_are_stated_once_each() -> None:
    data = java_objects("java.util.HashMap", "weka.core.Instances", "java.util.HashMap")
    reading = read_with(java_object, data, name="m.model")
    assert [fact.name for fact in reading.facts if isinstance(fact, Operator)] == [
        "java.util.HashMap",
        "weka.core.Instances",
    ]
    assert reading.reasons


def test_a_class_across_two_pieces_is_found() -> None:
    data = java_objects("java.util.HashMap") + bytes((1 << 20) - 60) + java_objects("a.b.Cc")
    facts = read_with(java_object, data, name="m.model").facts
    assert [fact.name for fact in facts if isinstance(fact, Operator)] == ["java.util.HashMap", "a.b.Cc"]


def test_a_class_behind_what_looks_like_one_is_found() -> None:
    data = java_objects("java.util.HashMap") + b"r\x00\xffAAr\x00\x05a.b.C"
    facts = read_with(java_object, data, name="m.model").facts
    assert [fact.name for fact in facts if isinstance(fact, Operator)][-1] == "a.b.C"


def test_the_first_bytes_decide() -> None:
    assert java_object.matches(blob_of(b"\xac\xed\x00\x05x", "x"))
    assert not java_object.matches(blob_of(b"\xac\xed\x00\x04x", "x.ser"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(java_object, [java_objects("a.B")], name="m.ser", rounds=100)
