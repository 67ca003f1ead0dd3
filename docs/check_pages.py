"""Check the pages: every relative link leads somewhere, and no page names a foreign package to install."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FOREIGN = re.compile(r"pip install (?:-\S+ )*modelsign(?![-\w])")


def main() -> int:
    """Print what is wrong and return the number of problems."""
    problems: list[str] = []
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        text = page.read_text(encoding="utf-8")
        problems += [
            f"{page.relative_to(ROOT)}: broken link {target}"
            for target in LINK.findall(text)
            if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
        ]
        if FOREIGN.search(text):
            problems.append(f"{page.relative_to(ROOT)}: that name on the package index belongs to somebody else's tool")
    for problem in problems:
        print(problem, file=sys.stderr)
    return min(len(problems), 1)


if __name__ == "__main__":
    sys.exit(main())
