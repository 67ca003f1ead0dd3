"""Rules about TorchScript that reaches outside the model."""

from scanners.findings import Severity
from tests.builders.checkpoints import pickled
from tests.builders.zips import torch_archive
from tests.scanners.rules.examples import Example, Files, scan_files


def model(body: str, function: str = "forward") -> Files:
    source = f"class M(Module):\n  __parameters__ = []\n  def {function}(self, x: Tensor) -> Tensor:\n    {body}\n"
    records = [("constants.pkl", pickled(())), ("code/__torch__.py", source.encode())]
    return {"model.pt": torch_archive(pickled({}), records)}


EXAMPLES = {
    "MS590": Example(
        bad=lambda: model('torch.save(x, "/tmp/x")', "__setstate__"),
        good=lambda: model('y = "torch.save(x)"; return torch.add(x, x)'),
    ),
    "MS591": Example(
        bad=lambda: model("return ops.foreign.run(x)"),
        good=lambda: model("return ops.torchvision.nms(x, x, 0.5)"),
    ),
}


def test_writing_while_loading_is_malicious_and_says_when() -> None:
    finding = next(one for one in scan_files(EXAMPLES["MS590"].bad()).findings if one.rule.id == "MS590")

    assert finding.severity is Severity.HIGH
    assert finding.message == "__setstate__ calls aten::save, while the model is loaded"
    assert finding.evidence == 'torch.save(x, "/tmp/x")'
    assert finding.location.members == ("archive/code/__torch__.py",)


def test_reading_a_file_when_used_is_malicious_too() -> None:
    report = scan_files(model('return torch.from_file("/etc/passwd", None, 4, dtype=0)'))

    assert [finding.message for finding in report.findings] == ["forward calls aten::from_file, when the model is used"]
