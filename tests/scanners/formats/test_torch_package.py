"""Archives of torch.package, hand-made and by torch itself."""

import pytest

from scanners.engine import scan_blob
from scanners.findings import FileReport, Verdict
from scanners.reader import BytesReader
from tests.builders.checkpoints import pickled
from tests.builders.zips import archive
from tests.peers import peer_python, run_peer


def scan(data: bytes) -> FileReport:
    return scan_blob(BytesReader(data), "model.pt").report


def package(source: bytes) -> bytes:
    return archive(
        ("p/.data/extern_modules", b"torch\n"),
        ("p/.data/0.storage", b"\x80\x02weights"),
        ("p/m/model.pkl", pickled({"a": 1})),
        ("p/module.py", source),
    )


def test_package_is_identified_and_names_its_modules() -> None:
    report = scan(package(b"x = 1\n"))

    assert report.formats == ("torch-package",)
    assert [(finding.rule.id, finding.evidence) for finding in report.findings] == [("MS592", "module.py")]
    assert report.coverage.complete


def test_module_that_runs_a_command_when_imported_is_malicious() -> None:
    report = scan(package(b"import os\nos.system('echo hello')\n"))

    assert report.verdict is Verdict.MALICIOUS
    assert report.findings[0].location.members == ("p/module.py",)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import package_example
from torch.package import PackageExporter
with PackageExporter(sys.argv[2]) as exporter:
    exporter.extern("torch.**")
    exporter.intern("package_example")
    exporter.save_pickle("model", "model.pkl", package_example.Net())
"""

MODULE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
"""


@pytest.mark.interop
def test_what_torch_itself_writes_is_suspicious_because_code_travels(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    peer_python("torch")
    folder = tmp_path_factory.mktemp("package")
    (folder / "package_example.py").write_text(MODULE)
    run_peer("torch", "-W", "ignore", "-c", SCRIPT, folder, folder / "model.pt")

    report = scan((folder / "model.pt").read_bytes())
    assert (report.verdict, report.formats) == (Verdict.SUSPICIOUS, ("torch-package",))
    assert "MS592" in {finding.rule.id for finding in report.findings}
    assert report.coverage.complete
