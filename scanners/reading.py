"""One format's reading of one blob: the facts it states, the blobs inside it, the bytes it looked at.

A format is a module that satisfies `Format`. It writes into a `Reading`; the engine takes that apart, reads the
children, judges the facts and accounts for the bytes.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Protocol

from scanners.facts import Anomaly, Fact, Import
from scanners.findings import Finding, Location, Rule
from scanners.limits import Budget
from scanners.reader import Reader, Window, after_zeros
from scanners.records import dataclass

INERT = "inert"
"""the role of a member that no loader interprets: its bytes are weights"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes to read, and how one gets there."""

    reader: Reader
    name: str
    """base name or member name: a hint, never trusted"""
    members: tuple[str, ...] = ()
    """member path from the file down to this blob, empty for the file itself"""
    depth: int = 0
    span: tuple[int, int] | None = None
    """(offset, length) in the parent blob that this blob was made from; None for the file itself"""
    stored: bool = True
    """whether the bytes lie in the parent as they are, so that coverage maps one to one"""
    roles: frozenset[str] = frozenset()
    """what the parent knows about it: `torch-data-pkl`, `torch-storage`, `npz-member` …"""
    shared: dict[str, object] = field(default_factory=dict, compare=False, repr=False)
    """what one format read and another may use again (a zip directory), under the name of the format that reads it"""
    around: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    """the container's `shared`: what its formats know about this member's siblings (`torch-storages`, key to bytes)"""
    claims: dict[Hashable, frozenset[str]] = field(default_factory=dict, compare=False, repr=False)
    """roles of members, by what tells a member from its siblings in this container"""

    def claim(self, member: Hashable, *roles: str) -> None:
        """Give roles to a member of this container. Formats that know the layout come before the container itself."""
        self.claims[member] = self.claims.get(member, frozenset()) | frozenset(roles)

    def claimed(self, member: Hashable) -> frozenset[str]:
        """Return the roles of a member."""
        return self.claims.get(member, frozenset())


class Format(Protocol):
    """What every module in `formats/` and `containers/` provides."""

    NAME: str
    """stable name in reports: `torch-zip`, `safetensors`"""

    def matches(self, blob: Blob) -> bool:
        """Return whether a loader of this format would take the blob. Content decides, the name is a hint."""
        ...

    def read(self, blob: Blob, reading: "Reading") -> None:
        """State facts and children. Raises only `ScanError`; what was stated before it still counts."""
        ...


class FileRule(Protocol):
    """What every module in `rules/file/` provides."""

    __name__: str
    RULES: tuple[Rule, ...]
    """the rules this module judges by"""

    def judge(self, facts: "FileFacts") -> Iterator[Finding]:
        """Turn the facts of one file into findings. Reads no bytes."""
        ...


class TreeRule(Protocol):
    """What every module in `rules/tree/` provides: judgement over names and neighbours."""

    __name__: str
    RULES: tuple[Rule, ...]
    """the rules this module judges by"""

    def judge(self, files: "Sequence[FileFacts]") -> Iterator[Finding]:
        """Turn the facts of all files of a target, sorted by path, into findings. Reads no bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """All facts of one file, from every reading of it and of what it contains."""

    path: str
    formats: tuple[str, ...]
    facts: tuple[Fact, ...]
    tensors: int = 0
    """how many tensors of different names the file describes"""


@dataclass(slots=True)
class Reading:
    """What one format's reading of one blob adds up to. Ranges are relative to the blob."""

    blob: Blob
    budget: Budget
    facts: list[Fact] = field(default_factory=list)
    children: list[Blob] = field(default_factory=list)
    parsed_ranges: list[tuple[int, int]] = field(default_factory=list)
    inert_ranges: list[tuple[int, int]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def touched(self) -> bool:
        """Whether anything was stated or accounted for."""
        return bool(self.facts or self.children or self.parsed_ranges or self.inert_ranges or self.reasons)

    def at(self, offset: int | None = None, length: int | None = None) -> Location:
        """Return a place in this blob."""
        return Location(members=self.blob.members, offset=offset, length=length)

    def state(self, fact: Fact) -> None:
        """Record a fact. Raises `LimitExceeded` when the budget of facts is used up."""
        self.budget.spend_facts()
        self.facts.append(fact)

    def imports(self, module: str, name: str, offset: int | None = None) -> None:
        """Record that a loader would look up ``module.name``."""
        self.state(Import(location=self.at(offset), module=module, name=name))

    def anomaly(self, code: str, message: str, offset: int | None = None, length: int | None = None) -> None:
        """Record a construct that breaks or bends the format's rules."""
        self.state(Anomaly(location=self.at(offset, length), code=code, message=message))

    def child(
        self,
        name: str,
        reader: Reader,
        *,
        span: tuple[int, int],
        stored: bool,
        roles: frozenset[str] = frozenset(),
        label: str | None = None,
    ) -> None:
        """Hand a blob inside this one to the engine, which reads it and accounts for ``span``.

        ``label`` stands for it in member paths where the name alone would be ambiguous.
        """
        self.children.append(
            Blob(
                reader=reader,
                name=name,
                members=(*self.blob.members, name if label is None else label),
                depth=self.blob.depth + 1,
                span=span,
                stored=stored,
                roles=roles,
                around=self.blob.shared,
            )
        )

    def behind(self, offset: int) -> None:
        """Hand on what lies behind the end of this format, but for zeros, as a file of its own.

        Some loaders read on in another format, some look from the end; what nobody reads counts as inert.
        """
        reader = self.blob.reader
        end = reader.size
        self.inert(offset, end - offset)
        begin = after_zeros(reader, offset, end)
        if begin < end:
            rest = Window(reader, begin, end - begin)
            self.child(f"behind@{begin}", rest, span=(begin, end - begin), stored=True)

    def parsed(self, offset: int, length: int) -> None:
        """Account for bytes that were interpreted."""
        if length > 0:
            self.parsed_ranges.append((offset, offset + length))

    def inert(self, offset: int, length: int) -> None:
        """Account for bytes that no loader interprets: weights, padding."""
        if length > 0:
            self.inert_ranges.append((offset, offset + length))

    def unread(self, why: str) -> None:
        """Say why something stays unread; whatever no range covers counts as unread anyway."""
        self.reasons.append(why)
