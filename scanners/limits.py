"""What one scan may cost, and the running account of what it did cost.

Counts decide verdicts, wall time never does: the same file gets the same verdict on any machine. The numbers come from
design/scanning.md, "Limits to hold".
"""

from dataclasses import field

from scanners.errors import LimitExceeded
from scanners.records import dataclass

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds for one target file."""

    depth: int = 8
    """containers inside containers"""
    members: int = 1_000_000
    """archive members, all levels together"""
    opcodes: int = 50_000_000
    """pickle opcodes, all pickles together"""
    stack: int = 1_000_000
    """values on one pickle stack"""
    memo: int = 4_000_000
    """entries of one pickle memo"""
    ratio: int = 200
    """decompressed bytes per compressed byte, beyond the first `free_expansion` bytes"""
    free_expansion: int = 16 * MEBIBYTE
    """decompressed bytes that are allowed whatever the ratio"""
    materialised: int = 512 * MEBIBYTE
    """decompressed bytes held in memory over one scan"""
    member_bytes: int = 256 * MEBIBYTE
    """decompressed bytes of one member"""
    unpacking: int = 512 * MEBIBYTE
    """bytes unpacked over one scan, held or not, beyond `unpacking_ratio` times the size of the file"""
    unpacking_ratio: int = 20
    text: int = 64 * MEBIBYTE
    """bytes of one JSON, XML, Python or template text"""
    facts: int = 2_000_000
    """facts kept"""


@dataclass(slots=True)
class Budget:
    """The one mutable account of a scan, passed as an argument. Every `spend_*` raises `LimitExceeded`."""

    limits: Limits = field(default_factory=Limits)
    input_bytes: int = 0
    """size of the file"""
    opcodes: int = 0
    members: int = 0
    materialised: int = 0
    unpacked: int = 0
    facts: int = 0

    def spend_opcodes(self, count: int) -> None:
        """Account for executed pickle opcodes (call it in batches: it is not free)."""
        self.opcodes += count
        if self.opcodes > self.limits.opcodes:
            raise LimitExceeded("opcodes", f"more than {self.limits.opcodes} pickle opcodes")

    def spend_members(self, count: int = 1) -> None:
        """Account for archive members."""
        self.members += count
        if self.members > self.limits.members:
            raise LimitExceeded("members", f"more than {self.limits.members} archive members")

    def spend_materialised(self, count: int) -> None:
        """Account for decompressed bytes that are held in memory."""
        self.materialised += count
        if self.materialised > self.limits.materialised:
            raise LimitExceeded("materialised", f"more than {self.limits.materialised} decompressed bytes")

    def spend_unpacked(self, count: int) -> None:
        """Account for the work of unpacking: members that share their bytes are unpacked once each (zip bombs)."""
        self.unpacked += count
        allowed = self.limits.unpacking + self.limits.unpacking_ratio * self.input_bytes
        if self.unpacked > allowed:
            raise LimitExceeded("unpacking", f"more than {allowed} bytes unpacked in all")

    def spend_facts(self, count: int = 1) -> None:
        """Account for kept facts."""
        self.facts += count
        if self.facts > self.limits.facts:
            raise LimitExceeded("facts", f"more than {self.limits.facts} facts")

    def allowed_expansion(self, compressed: int) -> int:
        """Return how many bytes ``compressed`` bytes may become: the cap to hand to a decompressor."""
        return min(
            self.limits.member_bytes,
            self.limits.free_expansion + compressed * self.limits.ratio,
            self.limits.materialised - self.materialised,
        )
