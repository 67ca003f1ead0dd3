"""What every reader of a checkpoint is asked for."""

from dataclasses import dataclass, field

from scanners.limits import Budget, Limits

# A checkpoint of 50 000 tensors executes some 1.5 million opcodes; its data.pkl is about 12 MB.
LIMITS = Limits(members=1_000_000, memo=8_000_000, stack=4_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to read from a source."""

    select: str | None = None
    """dotted path of the part to take, "." for all of it, None for the usual wrapper if there is one"""
    with_values: bool = False
    """also return plain data that is left out"""
    budget: Budget = field(default_factory=lambda: Budget(limits=LIMITS))
