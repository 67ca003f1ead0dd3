import pytest

from modelsign.errors import UsageError
from modelsign.ignoring import parse


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", True),
        ("*.md", "README.md.pkl", False),
        ("/a.bin", "a.bin", True),
        ("/a.bin", "b/a.bin", False),
        ("docs/", "docs/x/y", True),
        ("docs/", "docs", False),
        ("docs", "docs/x", True),
        ("a/*.bin", "a/b.bin", True),
        ("a/*.bin", "a/b/c.bin", False),
        ("a/**/c.bin", "a/c.bin", True),
        ("a/**/c.bin", "a/b/b/c.bin", True),
        ("**/x", "x", True),
        ("a/**", "a/b/c", True),
        ("?.bin", "a.bin", True),
        ("?.bin", "ab.bin", False),
        ("[ab].bin", "b.bin", True),
        ("[!ab].bin", "b.bin", False),
        ("a+(b).bin", "a+(b).bin", True),
        ("\\#x", "#x", True),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README.md", "OTHER.md", True),
        ("# comment\n\n", "# comment", False),
        ("*.bin", "new\nline.bin", True),
    ],
)
def test_patterns_mean_what_gitignore_says(pattern: str, path: str, ignored: bool) -> None:
    assert (parse(pattern.splitlines()).pattern_for(path) is not None) is ignored


@pytest.mark.parametrize("pattern", ["/", "!", "[z-a]"])
def test_a_pattern_that_makes_no_sense_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="line 1"):
        parse([pattern])
