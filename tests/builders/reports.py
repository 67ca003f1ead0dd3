"""Reports as the engine makes them, without a scan."""

from scanners.findings import (
    Confidence,
    Coverage,
    FileReport,
    Finding,
    Location,
    Report,
    Rule,
    Severity,
    verdict_of,
)

COMMAND = Rule(
    id="MS001",
    name="pickle-os-command",
    severity=Severity.CRITICAL,
    summary="Loading the file would run a command",
    fix="Do not load it.",
    cwe="CWE-502",
)
UNKNOWN = Rule(
    id="MS003",
    name="pickle-unknown-callable",
    severity=Severity.MEDIUM,
    summary="Loading the file would call something nobody has judged",
    fix="Look at the callable, or convert the file.",
)
NOTE = Rule(id="MS008", name="symbolic-link", severity=Severity.INFO, summary="A link", fix="Nothing.")


def finding(
    rule: Rule = COMMAND,
    file: str = "model.bin",
    evidence: str = "os.system('echo pwned')",
    message: str = "the callable os.system is called while the file is loaded",
    members: tuple[str, ...] = ("archive/data.pkl",),
    offset: int | None = 83,
    length: int | None = 1,
) -> Finding:
    return Finding(
        rule=rule,
        file=file,
        location=Location(members=members, offset=offset, length=length),
        severity=rule.severity,
        confidence=Confidence.HIGH,
        message=message,
        evidence=evidence,
    )


def file_report(
    path: str = "model.bin",
    *findings: Finding,
    size: int = 100,
    unread: int = 0,
    reasons: tuple[str, ...] = (),
    formats: tuple[str, ...] = ("torch-zip",),
    sha256: str | None = None,
) -> FileReport:
    coverage = Coverage(parsed=size - unread, unread=unread, reasons=reasons)
    return FileReport(
        path=path,
        size=size,
        formats=formats,
        verdict=verdict_of(findings, complete=coverage.complete, crashed=False, known=bool(formats)),
        coverage=coverage,
        findings=findings,
        sha256=sha256,
    )


def report(*files: FileReport, target: str = "model") -> Report:
    return Report(target=target, tool_version="1.2.3", ruleset="2026.11.0", files=files)


def mixed() -> Report:
    """One file of each kind, with names and evidence that a hostile author would choose."""
    return report(
        file_report("README.md", formats=()),
        file_report("config.json", formats=("json",)),
        file_report("half.zip", formats=("zip",), unread=40, reasons=("a.bin: encrypted",)),
        file_report("model.bin", finding()),
        file_report(
            "odd \x1b[31m<b>|`*_\u202e.pkl",
            finding(
                UNKNOWN,
                file="odd \x1b[31m<b>|`*_\u202e.pkl",
                evidence="evil.<script>alert(1)</script>(']]>', '\\n', '\x1b]0;x\x07')",
                members=(),
                offset=0,
                length=None,
            ),
            formats=("pickle",),
        ),
    )
