import pytest

from scanners.facts import Code
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
    ],
)
def test_a_picture_with_a_script_is_suspicious(inside: bytes) -> None:
    data = _HEAD + b"<svg xmlns='http://www.w3.org/2000/svg'>" + inside + b"</svg>"
    assert scan_files({"logo.svg": data}).verdict is Verdict.SUSPICIOUS


def test_a_picture_is_a_picture() -> None:
    data = (
        _HEAD + b"<svg xmlns='http://www.w3.org/2000/svg'><style>a{}</style><path d='M0 0'/><text>on load</text></svg>"
    )
    assert scan_files({"logo.svg": data}).verdict is Verdict.CLEAN


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(svg, [_HEAD + b"<svg onload='x()'><script>1</script></svg>"], name="a.svg", rounds=100)


def test_brackets_without_end_are_passed_quickly() -> None:
    assert not [fact for fact in read_with(svg, b"<svg>" + b"<" * 1_000_000).facts if isinstance(fact, Code)]
