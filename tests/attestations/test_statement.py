import json

import pytest

from attestations.digest import sha256_of
from attestations.errors import EnvelopeError
from attestations.statement import Statement, Subject
from attestations.strict_json import Json
from attestations.uris import STATEMENT_V1

SUBJECT = Subject(name="weights", digests=(sha256_of(b"weights"),), annotations={"oms.method": "files"})
PREDICATE: dict[str, Json] = {"says": "hello", "list": [1, 2]}


def document(**changes: object) -> bytes:
    whole = {"_type": STATEMENT_V1, "predicateType": "t", "subject": [], "predicate": {}, **changes}
    return json.dumps({key: value for key, value in whole.items() if value is not ...}).encode()


def test_what_is_built_is_read_back() -> None:
    built = Statement.build(predicate_type="https://example.com/t", subjects=[SUBJECT], predicate=PREDICATE)
    assert Statement.parse(built.payload) == built


def test_bytes_do_not_depend_on_the_order_of_keys() -> None:
    one = Statement.build(predicate_type="t", subjects=[SUBJECT], predicate={"a": 1, "b": 2})
    other = Statement.build(predicate_type="t", subjects=[SUBJECT], predicate={"b": 2, "a": 1})
    assert one.payload == other.payload


def test_bytes_that_were_signed_are_kept() -> None:
    payload = b" " + document(unknown=["kept"])
    assert Statement.parse(payload).payload is payload


def test_older_statement_type_is_read() -> None:
    assert Statement.parse(document(_type="https://in-toto.io/Statement/v0.1")).predicate_type == "t"


@pytest.mark.parametrize(
    "changes",
    [
        {"_type": ...},
        {"_type": "https://in-toto.io/Statement/v2"},
        {"predicateType": 7},
        {"subject": {}},
        {"subject": [7]},
        {"subject": [{"name": 7}]},
        {"subject": [{"name": "x", "digest": {"sha256": "short"}}]},
        {"subject": [{"name": "x", "digest": {"sha256": 7}}]},
        {"subject": [{"name": "x", "annotations": []}]},
        {"predicate": []},
    ],
)
def test_what_is_no_statement_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(EnvelopeError):
        Statement.parse(document(**changes))
