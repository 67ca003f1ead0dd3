import sys

import pytest

from attestations.digest import Digest, hasher_of, sha256_of
from attestations.errors import EnvelopeError, ManifestError

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_digest_is_written_with_its_algorithm() -> None:
    assert str(sha256_of(b"")) == f"sha256:{EMPTY}"


def test_upper_case_is_read_as_the_same_digest() -> None:
    assert Digest.parse("sha256", EMPTY.upper()) == sha256_of(b"")


@pytest.mark.parametrize("text", ["", "e3", f"{EMPTY}00", "z" * 64, f" {EMPTY[1:]}", f"{EMPTY[:-1]}\n"])
def test_text_that_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(EnvelopeError, match="not a sha256 digest"):
        Digest.parse("sha256", text)


def test_blake2b_is_the_long_one() -> None:
    assert len(hasher_of("blake2b")(b"").hexdigest()) == 128


@pytest.mark.parametrize("name", ["md5", "sha1", "blake2", "SHA256", ""])
def test_only_hashes_of_the_format_are_offered(name: str) -> None:
    with pytest.raises(ManifestError, match="not a hash"):
        hasher_of(name)


def test_blake3_is_an_extra_that_works() -> None:
    pytest.importorskip("blake3", reason="needs the extra package blake3")
    assert hasher_of("blake3")(b"").hexdigest().startswith("af1349b9f5f9a1a6")


def test_missing_blake3_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blake3", None)
    with pytest.raises(ManifestError, match="modelsign-suite"):
        hasher_of("blake3")
