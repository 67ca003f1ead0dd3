"""Rules about what could not be analysed."""

from tests.builders.zips import DEFLATED, Archive, Member, archive
from tests.scanners.rules.examples import Example, Files


def one(**fields: object) -> Files:
    return {"notes.zip": Archive(members=[Member(name=b"a.txt", **fields)]).build()}  # type: ignore[arg-type]  # by name


def ordinary() -> Files:
    return {"notes.zip": archive(("a.txt", b"one"))}


EXAMPLES = {
    "MS902": Example(bad=lambda: {"notes.zip": nested(10)}, good=lambda: {"notes.zip": nested(3)}),
    "MS903": Example(bad=lambda: one(data=b"one", method=98), good=lambda: one(data=b"one", method=DEFLATED)),
    "MS904": Example(bad=lambda: {"config.json": b"{"}, good=lambda: {"config.json": b"{}"}),
    "MS905": Example(
        bad=lambda: {"weights.plan": b"\x01\x02\x03\x04"}, good=lambda: {"notes.txt": b"\x01\x02\x03\x04"}
    ),
    "MS906": Example(bad=lambda: one(data=b"one", flags=1), good=ordinary),
}


def nested(depth: int) -> bytes:
    data = archive(("a.txt", b"one"))
    for _ in range(depth):
        data = archive(("inner.zip", data))
    return data
