import pytest

from scanners.facts import Operator
from scanners.findings import Verdict
from scanners.formats import svg
from tests.builders.readings import read_with, survive_mutations
from tests.scanners.rules.examples import scan_files

_HEAD = (
    b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'http://www.w3.org/Graphics/SVG/1.1/DTD/x'>"
)


@pytest.mark.parametrize(
    "inside",
    [
        b"<script>fetch('http://example.invalid')</script>",
        b"<script href='http://example.invalid/x.js'/>",
        b"<image href='x' onerror=\"alert(1)\"/>",
        b"<a href='javascript:alert(1)'><text>x</text></a>",
        b"<a href='java&#115;cript&#x3a;alert(1)'><text>x</text></a>",
        b"<set attributeName='href' to=' java\tscript:alert(1)'/>",
        b"<path d='" + b"M0 0" * 2000 + b"' onpointerdown='alert(1)'/>",
        b"<path title='>' onload=\"'x';alert(1)\"/>",
    ],
)
def test_a_picture_with_a_script_is_suspicious(inside: bytes) -> None:
    data = _HEAD + b"<svg xmlns='http://www.w3.org/2000/svg'>" + inside + b"</svg>"
    assert scan_files({"logo.svg": data}).verdict is Verdict.SUSPICIOUS


@pytest.mark.parametrize("value", [b"&#60;script&#62;alert(1)&#60;/script&#62;", b"javascript:alert(1)"])
def test_a_script_in_an_entity_is_suspicious(value: bytes) -> None:
    data = b"<!DOCTYPE svg [<!ENTITY a '" + value + b"'>]><svg xmlns='http://www.w3.org/2000/svg'>&a;</svg>"
    assert scan_files({"logo.svg": data}).verdict is Verdict.SUSPICIOUS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_script_in_another_encoding_is_suspicious(encoding: str) -> None:
    data = "<?xml version='1.0'?><svg onload='alert(1)'/>".encode(encoding)
    assert scan_files({"logo.svg": data}).verdict is Verdict.SUSPICIOUS


def test_a_picture_is_a_picture() -> None:
    data = (
        _HEAD + b"<svg xmlns='http://www.w3.org/2000/svg'><style>a{}</style><path d='M0 0'/><text>on load</text></svg>"
    )
    assert scan_files({"logo.svg": data}).verdict is Verdict.CLEAN


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(svg, [_HEAD + b"<svg onload='x()'><script>1</script></svg>"], name="a.svg", rounds=100)


@pytest.mark.parametrize("piece", [b"<", b"<a '", b'<a x="', b"a", b"<a ", b" ", b"<!ENTITY ", b"a="])
def test_brackets_and_quotes_without_end_are_passed_quickly(piece: bytes) -> None:
    data = b"<svg>" + piece * (1_000_000 // len(piece))
    assert not [fact for fact in read_with(svg, data).facts if isinstance(fact, Operator)]
