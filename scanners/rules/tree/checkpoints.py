"""Indexes of TensorFlow checkpoints against their data shards: was the object graph read that the index promises?"""

import re
from collections.abc import Iterator, Sequence

from scanners.facts import Reference
from scanners.findings import Finding, Rule
from scanners.reading import FileFacts
from scanners.rules.file.coverage import UNSUPPORTED_CONSTRUCT
from scanners.rules.found import found

RULES: tuple[Rule, ...] = ()
"""what is missing is reported by the rule about constructs that no reader interprets"""


def judge(files: Sequence[FileFacts]) -> Iterator[Finding]:
    """Compare every index with the shard that it places its object graph in."""
    if len(files) == 1:
        return  # an index alone is complete in itself
    present = {file.path: file for file in files}
    for file in files:
        for fact in _graphs(file):
            place = re.fullmatch(r"(\d+) of (\d+)", fact.context)
            if place is None:
                continue
            path = f"{file.path.removesuffix('.index')}.data-{int(place[1]):05d}-of-{int(place[2]):05d}"
            shard = present.get(path)
            if shard is None:
                message = f"the checkpoint's object graph lies in {path}, which is not among the files"
            elif any(one.target == fact.target for one in _graphs(shard)):
                continue
            else:
                message = f"the object graph at {fact.target} of {path} was not read: TensorFlow puts it elsewhere"
            yield found(UNSUPPORTED_CONSTRUCT, file, fact.location, message)


def _graphs(file: FileFacts) -> Iterator[Reference]:
    return (fact for fact in file.facts if isinstance(fact, Reference) and fact.kind == "object-graph")
