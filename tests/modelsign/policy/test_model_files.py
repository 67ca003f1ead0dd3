from modelsign.policy.model_files import CODE_RULES, COMPANIONS, code_in, foreign_formats
from scanners.findings import Confidence, Coverage, FileReport, Finding, Location, Report, Verdict
from scanners.registry import ALL_RULES, FORMATS

RULES = {rule.name: rule for rule in ALL_RULES}


def report(*files: FileReport) -> Report:
    return Report(target="model", tool_version="1", ruleset="2026.11.0", files=files)


def file(path: str, *formats: str, verdict: Verdict = Verdict.CLEAN, rule: str = "") -> FileReport:
    findings: tuple[Finding, ...] = ()
    if rule:
        findings = (
            Finding(
                rule=RULES[rule],
                file=path,
                location=Location(),
                severity=RULES[rule].severity,
                confidence=Confidence.HIGH,
                message=f"{path} runs code",
            ),
        )
    return FileReport(
        path=path, size=1, formats=formats, verdict=verdict, coverage=Coverage(parsed=1), findings=findings
    )


def test_the_names_used_here_are_those_of_the_scanner() -> None:
    assert set(RULES) >= CODE_RULES
    assert {module.NAME for module in FORMATS} >= COMPANIONS


def test_configuration_and_text_need_no_permission() -> None:
    seen = report(
        file("config.json", "json"),
        file("README.md", verdict=Verdict.UNSUPPORTED),
        file("m.safetensors", "safetensors"),
    )

    assert foreign_formats(seen, ["safetensors"]) == {}


def test_every_reading_of_a_file_must_be_allowed() -> None:
    seen = report(file("m.safetensors", "safetensors", "zip"), file("m.bin", "pickle"))

    assert foreign_formats(seen, ["safetensors"]) == {"m.safetensors": ("zip",), "m.bin": ("pickle",)}


def test_what_nobody_understood_is_foreign() -> None:
    seen = report(file("m.bin", verdict=Verdict.INCOMPLETE))

    assert foreign_formats(seen, ["safetensors"]) == {"m.bin": ("of an unknown format",)}


def test_code_is_found_by_format_by_name_and_by_rule() -> None:
    seen = report(
        file("modeling.py", "python-source"),
        file("lib.so", verdict=Verdict.UNSUPPORTED),
        file("config.json", "json", rule="configuration-runs-code"),
        file("m.safetensors", "safetensors"),
    )

    assert set(code_in(seen)) == {"modeling.py", "lib.so", "config.json"}
    assert code_in(seen)["config.json"] == "config.json runs code"
