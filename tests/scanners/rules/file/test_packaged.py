"""Archives that bring code along."""

import json

from scanners.findings import Verdict
from tests.builders.zips import archive
from tests.scanners.rules.examples import Example, Files, scan_files


def mar(handler: str, source: bytes = b"x = 1\n") -> Files:
    manifest = json.dumps({"createdOn": "1", "model": {"modelName": "m", "handler": handler}})
    return {"model.mar": archive(("MAR-INF/MANIFEST.json", manifest.encode()), ("my_handler.py", source))}


EXAMPLES = {
    "MS592": Example(bad=lambda: mar("my_handler.py"), good=lambda: mar("image_classifier")),
}


def test_handler_is_named_in_the_evidence() -> None:
    report = scan_files(mar("my_handler.py:handle"))

    assert report.verdict is Verdict.SUSPICIOUS
    assert report.findings[0].evidence == "handler my_handler.py:handle"


def test_what_the_handler_does_is_judged_too() -> None:
    assert scan_files(mar("my_handler.py", b"import os\nos.system('echo hello')\n")).verdict is Verdict.MALICIOUS


def test_manifest_that_cannot_be_read_is_never_clean() -> None:
    report = scan_files({"model.mar": archive(("MAR-INF/MANIFEST.json", b"{"))})

    assert report.verdict is Verdict.INCOMPLETE
