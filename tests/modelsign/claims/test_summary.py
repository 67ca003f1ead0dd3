import pytest

from attestations.statement import Statement
from attestations.strict_json import Json
from attestations.uris import TEST_RESULT_V0_1
from attestations.verify import bind
from modelsign.claims.subjects import subjects_of
from modelsign.claims.summary import summary_of
from tests.builders.statements import Says, manifest, proven

MODEL = manifest({"model.safetensors": b"weights"})


@pytest.mark.parametrize(("result", "says"), [("PASSED", "test result PASSED"), ([[]], "malformed"), ({}, "malformed")])
def test_a_result_that_is_no_text_is_called_malformed(result: Json, says: str) -> None:
    statement = Statement.build(
        predicate_type=TEST_RESULT_V0_1, subjects=subjects_of(MODEL), predicate={"result": result}
    )
    assert summary_of(bind(proven(statement, Says()), MODEL)).startswith(says)


def test_a_summary_is_short_whatever_a_signer_writes() -> None:
    statement = Statement.build(
        predicate_type=TEST_RESULT_V0_1, subjects=subjects_of(MODEL), predicate={"result": "x" * 100_000}
    )
    assert len(summary_of(bind(proven(statement, Says()), MODEL))) < 1000
