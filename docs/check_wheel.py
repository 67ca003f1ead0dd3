"""Check what a wheel would put into a user's environment: `python docs/check_wheel.py dist/*.whl`."""

import sys
import zipfile

ALLOWED = {"modelsign", "attestations", "scanners"}


def main(path: str) -> int:
    """Return 1, with a sentence, when the wheel installs anything but our three packages."""
    with zipfile.ZipFile(path) as wheel:
        names = {name.split("/", 1)[0] for name in wheel.namelist()}
        listed = wheel.namelist()
    foreign = {name for name in names if name not in ALLOWED and not name.startswith("modelsign_suite-")}
    if foreign or not names >= ALLOWED:
        print(f"{path}: top-level names {sorted(names)}, expected {sorted(ALLOWED)} and the metadata", file=sys.stderr)
        return 1
    for needed in ("modelsign/py.typed", "scanners/rules/pages/MS101.md", "modelsign/report/schemas/report-v1.json"):
        if needed not in listed:
            print(f"{path}: {needed} is missing", file=sys.stderr)
            return 1
    print(f"{path}: {len(listed)} files in {', '.join(sorted(ALLOWED))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
