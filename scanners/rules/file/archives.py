"""Archives that loaders read differently, that hide members, or that lead outside themselves (MS2xx)."""

from collections.abc import Iterator

from scanners.facts import Anomaly, Identified
from scanners.findings import Confidence, Finding, Location, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found

DUPLICATE_MEMBER = Rule(
    id="MS201",
    name="archive-duplicate-member",
    severity=Severity.MEDIUM,
    summary="Two members of an archive answer to one name, and loaders pick different ones",
    fix="Write the archive anew with one member of each name, from a source you trust.",
    cwe="CWE-436",
)
LOADERS_DISAGREE = Rule(
    id="MS202",
    name="archive-loaders-disagree",
    severity=Severity.MEDIUM,
    summary="Loaders find different members in the same archive",
    fix="Unpack and write the archive anew with the program that made it; compare what each member holds.",
    cwe="CWE-436",
)
HEADER_MISMATCH = Rule(
    id="MS203",
    name="archive-header-mismatch",
    severity=Severity.MEDIUM,
    summary="The directory of an archive and the header of a member contradict each other",
    fix="Write the archive anew; if nobody can say why it looks like this, do not load it.",
    cwe="CWE-436",
)
PATH_TRAVERSAL = Rule(
    id="MS204",
    name="archive-path-traversal",
    severity=Severity.HIGH,
    summary="A member or a link of an archive leads outside the directory it is unpacked to",
    fix="Do not unpack it; ask its author for an archive whose names stay inside.",
    cwe="CWE-22",
)
LINK = Rule(
    id="MS205",
    name="archive-link",
    severity=Severity.LOW,
    summary="An archive contains a link",
    fix="Replace the link by the file it means.",
    cwe="CWE-59",
)
HIDDEN_DATA = Rule(
    id="MS206",
    name="archive-hidden-data",
    severity=Severity.LOW,
    summary="An archive carries bytes that belong to no member",
    fix="Write the archive anew; it loses what does not belong to it.",
    cwe="CWE-506",
)
OVERLAP = Rule(
    id="MS207",
    name="archive-overlapping-members",
    severity=Severity.MEDIUM,
    summary="Members of an archive share bytes",
    fix="Do not unpack it: overlapping members are how archive bombs are built. Ask for an ordinary archive.",
    cwe="CWE-409",
)
WRONG_CHECKSUM = Rule(
    id="MS208",
    name="archive-wrong-checksum",
    severity=Severity.MEDIUM,
    summary="A member does not match its checksum; some loaders take it all the same",
    fix="Fetch the file again; if the checksum is still wrong, somebody changed the member afterwards.",
    cwe="CWE-354",
)
POLYGLOT = Rule(
    id="MS209",
    name="polyglot-file",
    severity=Severity.MEDIUM,
    summary="One file is readable as several unrelated formats",
    fix="Take the part you want out into a file of its own, and load that.",
    cwe="CWE-436",
)
TORCH_LAYOUT = Rule(
    id="MS210",
    name="torch-archive-layout",
    severity=Severity.LOW,
    summary="A torch archive contradicts its own layout: several roots, or records that do not say what they must",
    fix="Load it where you trust it and save it anew with torch.save.",
)

RULES: tuple[Rule, ...] = (
    DUPLICATE_MEMBER,
    LOADERS_DISAGREE,
    HEADER_MISMATCH,
    PATH_TRAVERSAL,
    LINK,
    HIDDEN_DATA,
    OVERLAP,
    WRONG_CHECKSUM,
    POLYGLOT,
    TORCH_LAYOUT,
)

_BY_CODE: dict[str, tuple[Rule, Severity, Confidence]] = {
    "zip-duplicate-member": (DUPLICATE_MEMBER, Severity.MEDIUM, Confidence.HIGH),
    "zip-case-duplicate": (DUPLICATE_MEMBER, Severity.MEDIUM, Confidence.HIGH),
    "zip-loaders-disagree": (LOADERS_DISAGREE, Severity.MEDIUM, Confidence.HIGH),
    "zip-many-directories": (LOADERS_DISAGREE, Severity.MEDIUM, Confidence.HIGH),
    "zip-archive-in-comment": (LOADERS_DISAGREE, Severity.MEDIUM, Confidence.HIGH),
    "zip-directory-count": (LOADERS_DISAGREE, Severity.MEDIUM, Confidence.MEDIUM),
    "zip-directory-broken": (LOADERS_DISAGREE, Severity.LOW, Confidence.MEDIUM),
    "zip-hidden-member": (LOADERS_DISAGREE, Severity.MEDIUM, Confidence.MEDIUM),
    "zip-nul-in-name": (LOADERS_DISAGREE, Severity.MEDIUM, Confidence.HIGH),
    "zip-prefix": (LOADERS_DISAGREE, Severity.MEDIUM, Confidence.MEDIUM),
    "zip-no-directory": (LOADERS_DISAGREE, Severity.LOW, Confidence.MEDIUM),
    "zip-local-header-missing": (HEADER_MISMATCH, Severity.MEDIUM, Confidence.MEDIUM),
    "zip-local-name-differs": (HEADER_MISMATCH, Severity.MEDIUM, Confidence.HIGH),
    "zip-local-method-differs": (HEADER_MISMATCH, Severity.MEDIUM, Confidence.HIGH),
    "zip-local-size-differs": (HEADER_MISMATCH, Severity.MEDIUM, Confidence.MEDIUM),
    "zip-local-crc-differs": (HEADER_MISMATCH, Severity.MEDIUM, Confidence.MEDIUM),
    "zip-encryption-differs": (HEADER_MISMATCH, Severity.MEDIUM, Confidence.HIGH),
    "zip-longer-than-said": (HEADER_MISMATCH, Severity.MEDIUM, Confidence.HIGH),
    "zip-data-outside": (HEADER_MISMATCH, Severity.LOW, Confidence.HIGH),
    "archive-traversal": (PATH_TRAVERSAL, Severity.HIGH, Confidence.HIGH),
    "tar-duplicate-member": (DUPLICATE_MEMBER, Severity.MEDIUM, Confidence.MEDIUM),
    "tar-members-after-end": (LOADERS_DISAGREE, Severity.MEDIUM, Confidence.MEDIUM),
    "tar-members-after-garbage": (LOADERS_DISAGREE, Severity.MEDIUM, Confidence.MEDIUM),
    "tar-size-differs": (HEADER_MISMATCH, Severity.MEDIUM, Confidence.HIGH),
    "tar-negative-size": (HEADER_MISMATCH, Severity.MEDIUM, Confidence.HIGH),
    "tar-link": (LINK, Severity.LOW, Confidence.HIGH),
    "tar-device": (LINK, Severity.MEDIUM, Confidence.HIGH),
    "tar-trailing-bytes": (HIDDEN_DATA, Severity.LOW, Confidence.MEDIUM),
    "zip-symlink": (LINK, Severity.LOW, Confidence.HIGH),
    "zip-trailer": (HIDDEN_DATA, Severity.LOW, Confidence.MEDIUM),
    "zip-unclaimed-bytes": (HIDDEN_DATA, Severity.LOW, Confidence.MEDIUM),
    "torch-second-root": (TORCH_LAYOUT, Severity.LOW, Confidence.HIGH),
    "torch-record-outside-root": (TORCH_LAYOUT, Severity.INFO, Confidence.HIGH),
    "torch-record-malformed": (TORCH_LAYOUT, Severity.LOW, Confidence.HIGH),
    "stream-trailing-bytes": (HIDDEN_DATA, Severity.LOW, Confidence.MEDIUM),
    "zip-overlap": (OVERLAP, Severity.MEDIUM, Confidence.HIGH),
    "zip-shared-data": (OVERLAP, Severity.MEDIUM, Confidence.HIGH),
    "zip-wrong-checksum": (WRONG_CHECKSUM, Severity.MEDIUM, Confidence.HIGH),
    "zip-no-checksum": (WRONG_CHECKSUM, Severity.INFO, Confidence.HIGH),
}

_FAMILIES: dict[str, str] = {
    "zip": "zip archive", "torch-zip": "zip archive", "npz": "zip archive", "keras": "zip archive",
    "torch-package": "zip archive", "torchserve": "zip archive",
    "7z": "7z archive", "tar": "tar archive", "torch-tar": "tar archive", "nemo": "tar archive",
    "gzip": "compressed stream", "bzip2": "compressed stream", "xz": "compressed stream", "lzma": "compressed stream",
    "zlib": "compressed stream", "zstd": "compressed stream", "lz4": "compressed stream",
    "pickle": "pickle", "joblib": "pickle", "torch-legacy": "pickle",
    "numpy": "numpy array", "npy": "numpy array",
    "safetensors": "safetensors", "gguf": "GGUF", "hdf5": "HDF5", "onnx": "ONNX", "tflite": "TFLite",
}  # fmt: skip
"""formats that begin or end with a magic of their own; two families in one file are no coincidence"""

_PACKED = frozenset({"tflite", "zip"})
"""TensorFlow Lite's metadata: the files that belong to a model (labels, vocabularies) are zipped and appended to it"""


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Turn what the archive readers noted into findings."""
    yield from _polyglot(facts)
    packed = _packed_models(facts)
    for fact in facts.facts:
        if not isinstance(fact, Anomaly) or (fact.code == "zip-prefix" and fact.location.members in packed):
            continue
        judged = _BY_CODE.get(fact.code)
        if judged is None:
            continue
        rule, severity, confidence = judged
        yield found(rule, facts, fact.location, fact.message, severity=severity, confidence=confidence)


def _packed_models(facts: FileFacts) -> set[tuple[str, ...]]:
    """Return where models of TensorFlow Lite lie that are nothing else but perhaps a zip archive."""
    formats: dict[tuple[str, ...], set[str]] = {}
    for fact in facts.facts:
        if isinstance(fact, Identified):
            formats.setdefault(fact.location.members, set()).add(fact.format)
    return {members for members, names in formats.items() if "tflite" in names and names <= _PACKED}


def _polyglot(facts: FileFacts) -> Iterator[Finding]:
    families = sorted({_FAMILIES[name] for name in facts.formats if name in _FAMILIES})
    if len(families) > 1 and not _PACKED.issuperset(facts.formats):
        message = f"readable as {' and as '.join(families)}"
        yield found(POLYGLOT, facts, Location(), message, confidence=Confidence.MEDIUM)
