"""What could not be analysed, and why: the findings that keep "not looked at" from passing for "clean" (MS9xx)."""

from collections.abc import Iterator

from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found_anomalies

READER_CRASHED = Rule(
    id="MS901",
    name="reader-crashed",
    severity=Severity.LOW,
    summary="A reader or a rule failed in a way nobody foresaw",
    fix="Report it as a bug, with the file if you can; do not load the file on the strength of this scan.",
    cwe="CWE-755",
)
LIMIT_EXCEEDED = Rule(
    id="MS902",
    name="limit-exceeded",
    severity=Severity.LOW,
    summary="The file asks for more work or memory than the limits allow",
    fix="If the file is really that large, raise the limit that the message names; otherwise treat it as a bomb.",
    cwe="CWE-400",
)
UNSUPPORTED_CONSTRUCT = Rule(
    id="MS903",
    name="unsupported-construct",
    severity=Severity.LOW,
    summary="The file uses a legal construct that no reader here interprets",
    fix="Write the file anew without the construct the message names (another compression, for example).",
)
MALFORMED = Rule(
    id="MS904",
    name="malformed-file",
    severity=Severity.LOW,
    summary="The file breaks the rules of its format, and what lies behind that point was not read",
    fix="Fetch or write the file anew; a loader that is more lenient than this reader may see more in it.",
)
UNRECOGNISED_MODEL = Rule(
    id="MS905",
    name="unrecognised-model-file",
    severity=Severity.LOW,
    summary="The file calls itself a model, code, configuration or archive, but no reader understands it",
    fix="Convert it to a format that is understood, or name it by what it is.",
)
ENCRYPTED = Rule(
    id="MS906",
    name="encrypted-member",
    severity=Severity.LOW,
    summary="A member of an archive is marked as encrypted",
    fix="Store models unencrypted inside archives, and encrypt the transport or the disk instead.",
)

RULES: tuple[Rule, ...] = (
    READER_CRASHED,
    LIMIT_EXCEEDED,
    UNSUPPORTED_CONSTRUCT,
    MALFORMED,
    UNRECOGNISED_MODEL,
    ENCRYPTED,
)

_BY_CODE: dict[str, Rule] = {
    "reader-crashed": READER_CRASHED,
    "limit-exceeded": LIMIT_EXCEEDED,
    "unsupported-construct": UNSUPPORTED_CONSTRUCT,
    "unsupported-compression": UNSUPPORTED_CONSTRUCT,
    "malformed": MALFORMED,
    "no-reader": UNRECOGNISED_MODEL,
    "zip-encrypted": ENCRYPTED,
}


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Turn what stopped a reader into findings. Coverage says how much is missing; these say what and why."""
    yield from found_anomalies(facts, _BY_CODE)
