import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from attestations.errors import TrustError
from attestations.trust_file import TrustFile, is_trust_file

FILE = TrustFile(
    instance="public-good", fetched=datetime(2026, 11, 23, 12, tzinfo=UTC), trusted_root={"tlogs": [], "a": "b"}
)


def test_reading_gives_back_what_was_written() -> None:
    assert TrustFile.parse(FILE.to_json(), "roots.json") == FILE
    assert is_trust_file(json.loads(FILE.to_json()))


def test_the_day_is_written_in_utc() -> None:
    elsewhere = TrustFile(
        instance="staging", fetched=datetime(2026, 11, 24, 1, tzinfo=timezone(timedelta(hours=2))), trusted_root={}
    )

    assert b'"fetched":"2026-11-23T23:00:00Z"' in elsewhere.to_json()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        FILE.to_json().replace(b"trust/v1", b"trust/v2"),
        FILE.to_json().replace(b"2026-11-23T12:00:00Z", b"2026-11-23"),
        FILE.to_json().replace(b"2026-11-23T12:00:00Z", b"2026-13-23T12:00:00Z"),
        FILE.to_json().replace(b'"public-good"', b"1"),
        FILE.to_json().replace(b'{"a":"b","tlogs":[]}', b"[]"),
        FILE.to_json().replace(b'"instance"', b'"fetched"'),
    ],
)
def test_what_is_none_is_named(data: bytes) -> None:
    with pytest.raises(TrustError, match=r"roots\.json"):
        TrustFile.parse(data, "roots.json")
