import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsign.policy.decision import Signer
from modelsign.policy.identities import CertificateIdentity, KeyIdentity, Pattern, distinct, exactly, glob, principals

ISSUER = "https://issuer.example"


def signer(identity: str | None = None, *, issuer: str = ISSUER, key: str = "k", **claims: str) -> Signer:
    return Signer(
        method="sigstore" if identity else "key",
        name=identity or key,
        identity=identity,
        issuer=issuer if identity else None,
        key=key if key != "k" or identity is None else f"of {identity}",
        vouched=() if identity else (f"key {key}",),
        time=None,
        time_source=None,
        claims=claims,
    )


def pattern(subject: str, **claims: str) -> CertificateIdentity:
    return CertificateIdentity(issuer=exactly(ISSUER), subject=glob(subject), shown=subject, claims=claims)


WORKFLOW = "https://github.com/acme/models/.github/workflows/release.yml@refs/tags/*"


@pytest.mark.parametrize(
    ("subject", "matches"),
    [
        ("https://github.com/acme/models/.github/workflows/release.yml@refs/tags/v1", True),
        ("https://github.com/acme/models/.github/workflows/release.yml@refs/tags/", True),
        ("https://github.com/acme/models/.github/workflows/release.yml@refs/tags/v1/x", False),
        ("https://github.com/acme/models/.github/workflows/release.yml@refs/tags/v1@main", False),
        ("https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main", False),
        ("xhttps://github.com/acme/models/.github/workflows/release.yml@refs/tags/v1", False),
        ("https://github.com/acme/models/.github/workflows/release.yml@refs/tags/v1\n", True),
        ("https://githubXcom/acme/models/.github/workflows/release.yml@refs/tags/v1", False),
    ],
)
def test_a_star_crosses_neither_slash_nor_at(subject: str, matches: bool) -> None:
    assert pattern(WORKFLOW).matches(signer(subject)) is matches


@given(st.text(alphabet="ab/@.*", max_size=8), st.text(alphabet="ab/@.", max_size=8))
def test_a_glob_keeps_every_other_character_literal(text: str, subject: str) -> None:
    assert glob(text.replace("*", "")).fullmatch(text.replace("*", ""))
    if glob(text).fullmatch(subject):
        assert subject.count("/") == text.count("/")
        assert subject.count("@") == text.count("@")


def test_the_issuer_must_be_equal() -> None:
    assert not pattern("ann@acme.example").matches(signer("ann@acme.example", issuer="https://other.example"))


def test_a_pinned_extension_must_be_there_and_equal() -> None:
    pinned = pattern("ann@acme.example", repository_id="42")

    assert pinned.matches(signer("ann@acme.example", repository_id="42"))
    assert not pinned.matches(signer("ann@acme.example", repository_id="43"))
    assert not pinned.matches(signer("ann@acme.example"))


def test_an_overlong_subject_matches_nothing() -> None:
    assert not pattern("*").matches(signer("a" * 3000))


def test_a_key_is_known_by_the_name_the_policy_gave_it() -> None:
    identities = {"release": [KeyIdentity(key="k")], "other": [KeyIdentity(key="x")]}

    assert principals(signer(key="k"), identities) == ("release",)
    assert principals(signer("ann@acme.example"), identities) == ()


def test_one_person_counts_once_however_many_patterns_fit() -> None:
    patterns = [pattern("ann@acme.example"), pattern("*@acme.example")]

    assert distinct([signer("ann@acme.example")], patterns) == 1
    assert distinct([signer("ann@acme.example"), signer("ann@acme.example")], patterns) == 1
    assert distinct([signer("ann@acme.example"), signer("bob@acme.example")], patterns) == 2


def test_one_key_is_one_person_bare_and_with_certificates() -> None:
    patterns: list[Pattern] = [pattern("ann@acme.example"), pattern("bob@acme.example"), KeyIdentity(key="own")]
    bare, ann, bob = signer(key="own"), signer("ann@acme.example", key="own"), signer("bob@acme.example", key="own")
    assert distinct([bare, ann], patterns) == 1
    assert distinct([ann, bob, bare], patterns) == 1
    renewed = signer("ann@acme.example", key="renewed")
    assert distinct([bob, renewed, ann], patterns) == 1
    assert distinct([bob, renewed, bare], patterns) == 2


def test_one_pattern_counts_once_however_many_people_fit() -> None:
    assert distinct([signer("ann@acme.example"), signer("bob@acme.example")], [pattern("*@acme.example")]) == 1


def test_people_are_placed_so_that_most_patterns_are_met() -> None:
    patterns: list[Pattern] = [pattern("*@acme.example"), pattern("ann@acme.example"), KeyIdentity(key="k")]

    assert distinct([signer("ann@acme.example"), signer("bob@acme.example"), signer(key="k")], patterns) == 3
