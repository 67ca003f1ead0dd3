"""Put what the demo prints into the README: `python docs/write_demo.py < output`. `make readme` does both."""

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"(<!-- demo -->\n```text\n).*?(```\n<!-- /demo -->)", re.DOTALL)


def main(output: str) -> None:
    """Replace the block."""
    text = README.read_text(encoding="utf-8")
    README.write_text(BLOCK.sub(lambda match: match[1] + output.strip() + "\n" + match[2], text), encoding="utf-8")


if __name__ == "__main__":
    main(sys.stdin.read())
