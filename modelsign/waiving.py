"""What a user accepts although it was found: a baseline (an earlier report) and waivers.

Neither reaches a malicious finding, and both stay visible in every report. A waiver speaks about one rule in one file,
named by its digest, has an owner and a reason, and ends: 90 days are the most, so that somebody looks again.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from attestations.named_files import read_whole
from modelsign.config import near
from modelsign.errors import UsageError
from modelsign.gate import Acceptance, Accepted
from scanners.findings import FileReport, Finding, Report, Severity

_MAX_BYTES = 16 * 1024 * 1024
LONGEST = timedelta(days=90)

_KEYS = ("rule", "sha256", "reason", "owner", "expires")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One entry of a file of waivers."""

    rule: str
    """id or name"""
    sha256: str
    """of the file that the finding is about"""
    reason: str
    owner: str
    expires: date
    """the last day on which it counts"""

    def covers(self, finding: Finding, file: FileReport) -> bool:
        """Return whether the waiver is about this finding in this file."""
        return self.rule in {finding.rule.id, finding.rule.name} and file.sha256 == self.sha256


def load(path: Path, *, today: date) -> tuple[Waiver, ...]:
    """Read a file of waivers.

    Raises:
        UsageError: it cannot be read, is malformed, or has a waiver that would last longer than 90 days.
    """
    import tomllib

    try:
        document = tomllib.loads(read_whole(path, _MAX_BYTES).decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: the waivers cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the waivers are not valid TOML: {error}") from error
    for key in document:
        if key != "waiver":
            raise UsageError(f"{path}: unknown key {key!r}{near(key, ['waiver'])}; a file of waivers holds [[waiver]]")
    entries = document.get("waiver", [])
    if not isinstance(entries, list):
        raise UsageError(f"{path}: write [[waiver]], with two brackets: there may be several")
    return tuple(_waiver(entry, f"{path}: waiver {number}", today) for number, entry in enumerate(entries, 1))


def _waiver(entry: object, place: str, today: date) -> Waiver:
    if not isinstance(entry, dict):
        raise UsageError(f"{place}: is no table")
    for key in entry:
        if key not in _KEYS:
            raise UsageError(f"{place}: unknown key {key!r}{near(key, _KEYS)}")
    for key in _KEYS:
        if key not in entry:
            raise UsageError(f"{place}: {key} is missing; a waiver has {', '.join(_KEYS)}")
    texts = {key: entry[key] for key in _KEYS if key != "expires"}
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{place}: {key} is a text, not {value!r}")
    if not _DIGEST.fullmatch(texts["sha256"]):
        raise UsageError(f"{place}: sha256 is 64 hexadecimal digits in lower case, as `modelsign scan --digest` prints")
    expires = entry["expires"]
    if type(expires) is not date:
        raise UsageError(f"{place}: expires is a date without quotes, like {today.isoformat()}")
    if expires > today + LONGEST:
        raise UsageError(
            f"{place}: expires {expires.isoformat()} is more than {LONGEST.days} days away; the longest waiver made "
            f"today ends on {(today + LONGEST).isoformat()}"
        )
    return Waiver(**texts, expires=expires)


def accept(
    reports: Sequence[Report],
    *,
    baseline: Iterable[Report] = (),
    waivers: Sequence[Waiver] = (),
    today: date,
) -> Accepted:
    """Return which findings of ``reports`` are accepted. Files must carry their digests for waivers to match.

    Args:
        reports: what was found now.
        baseline: what an earlier report had found already.
        waivers: what the user has accepted for a while.
        today: the day on which waivers must not have expired.
    """
    known = {finding.fingerprint for report in baseline for finding in report.findings}
    accepted = {
        finding.fingerprint: Acceptance(by="baseline", reason="it was in the baseline already")
        for report in reports
        for finding in report.findings
        if finding.fingerprint in known and finding.severity < Severity.HIGH
    }
    notices = []
    for waiver in waivers:
        pairs = [(finding, file) for report in reports for file in report.files for finding in file.findings]
        covered = [finding for finding, file in pairs if waiver.covers(finding, file)]
        # Two targets may have files of one name with one finding and different content: those are not waived.
        others = {finding.fingerprint for finding, file in pairs if not waiver.covers(finding, file)}
        name = f"the waiver of {waiver.owner} for {waiver.rule} in {waiver.sha256[:12]}"
        if not covered:
            notices.append(f"{name} matches nothing here")
        elif waiver.expires < today:
            notices.append(f"{name} expired on {waiver.expires.isoformat()}; the finding counts again")
        elif any(finding.severity >= Severity.HIGH for finding in covered):
            notices.append(f"{name} does not count: a malicious finding cannot be waived")
        else:
            acceptance = Acceptance(
                by="waiver", reason=waiver.reason, owner=waiver.owner, expires=waiver.expires.isoformat()
            )
            accepted |= {finding.fingerprint: acceptance for finding in covered if finding.fingerprint not in others}
    return Accepted(by_fingerprint=accepted, notices=tuple(notices))
