"""Tied weights: several names for one region of one storage.

One name is kept and the others become aliases in the metadata, the convention that readers of safetensors know; or each
name gets bytes of its own. Kept is the name that the source has first: a module lists what it is built on before what
is tied to it, so embeddings stay and heads become aliases, and a loader of the bare model finds all of it. Regions that
merely overlap are always written in full: dropping one would lose weights.
"""

from collections.abc import Sequence
from enum import Enum

from modelsign.conversion.plan import PlannedTensor

RESERVED = frozenset({"format", "__metadata__"})
"""metadata keys with a meaning of their own: a tensor of such a name is never made an alias"""


class Tied(Enum):
    """What to do with tied weights."""

    KEEP_ONE = "keep-one"
    DUPLICATE = "duplicate"


def untied(tensors: Sequence[PlannedTensor], tied: Tied) -> tuple[list[PlannedTensor], dict[str, str]]:
    """Return the tensors to write and the aliases (name -> kept name), both sorted by name."""
    ordered = sorted(tensors, key=lambda tensor: tensor.name)
    if tied is Tied.DUPLICATE:
        return ordered, {}
    kept: dict[tuple[object, ...], PlannedTensor] = {}
    # A reserved name cannot become an alias, so it has precedence.
    for tensor in sorted(tensors, key=lambda tensor: tensor.name not in RESERVED):
        if tensor.size:
            kept.setdefault(tensor.region, tensor)
    aliases: dict[str, str] = {}
    written = []
    for tensor in ordered:
        keeper = kept.get(tensor.region, tensor) if tensor.size else tensor
        if keeper is tensor or tensor.name in RESERVED:
            written.append(tensor)
        else:
            aliases[tensor.name] = keeper.name
    return written, aliases
