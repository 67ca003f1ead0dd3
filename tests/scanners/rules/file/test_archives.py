"""Rules about archives, each with the archive that breaks it and its ordinary twin."""

from tests.builders.safetensors import safetensors
from tests.builders.zips import DEFLATED, Archive, Member, archive
from tests.scanners.rules.examples import Example, Files


def ordinary() -> Files:
    return {"notes.zip": archive(("a.txt", b"one"), ("b.txt", b"two"))}


def deflated() -> Files:
    return {"notes.zip": archive(("a.txt", b"one" * 50), ("b.txt", b"two"), method=DEFLATED)}


def built(*members: Member, **fields: object) -> Files:
    return {"notes.zip": Archive(members=members, **fields).build()}  # type: ignore[arg-type]  # fields by name


A = Member(name=b"a.txt", data=b"one")
B = Member(name=b"b.txt", data=b"two")

EXAMPLES = {
    "MS201": Example(bad=lambda: built(A, Member(name=b"a.txt", data=b"two")), good=ordinary),
    "MS202": Example(bad=lambda: {"notes.zip": archive(("a", b"1")) + archive(("a", b"2"))}, good=ordinary),
    "MS203": Example(bad=lambda: built(A, Member(name=b"b.txt", local_name=b"c.txt", data=b"two")), good=ordinary),
    "MS204": Example(bad=lambda: built(A, Member(name=b"../../b.txt", data=b"two")), good=ordinary),
    "MS205": Example(bad=lambda: built(A, Member(name=b"b", data=b"a.txt", attributes=0xA1FF << 16)), good=ordinary),
    "MS206": Example(bad=lambda: built(A, B, trailer=b"left over"), good=ordinary),
    "MS207": Example(bad=lambda: built(A, Member(name=b"b.txt", data=b"one", header_offset=0)), good=ordinary),
    "MS209": Example(
        bad=lambda: {"m.safetensors": safetensors({"a": ("U8", [1], b"x")}) + archive(("a", b"1"))},
        good=lambda: {"m.safetensors": safetensors({"a": ("U8", [1], b"x")})},
    ),
    "MS210": Example(
        bad=lambda: {"m.pt": archive(("a/data.pkl", b"\x80\x02}."), ("b/data.pkl", b"\x80\x02}."))},
        good=lambda: {"m.pt": archive(("a/data.pkl", b"\x80\x02}."))},
    ),
    "MS208": Example(bad=lambda: built(Member(name=b"a.txt", data=b"one" * 50, method=DEFLATED, crc=7)), good=deflated),
}
