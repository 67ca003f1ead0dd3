import json

from modelsign.gate import Gate
from modelsign.report import Result, write
from tests.builders.reports import file_report, mixed, report


def test_a_line_per_target_and_per_file() -> None:
    text = write(Result(reports=(mixed(), report(file_report(), target="other")), gate=Gate()), "jsonl")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["type"], line["target"]) for line in lines] == [
        *[("target", "model")],
        *[("file", "model")] * 5,
        *[("target", "other")],
        *[("file", "other")],
    ]
    assert sum(len(line.get("findings", ())) for line in lines) == 2
    assert lines[0]["complete"] is False
