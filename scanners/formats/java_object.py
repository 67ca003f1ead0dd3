"""Objects that Java serialised: models of Weka, Mallet, MLeap and older Spark pipelines. They are named, not analysed.

Reading such a stream makes objects of every class it names, and some classes do what an attacker wants while they are
made. Source: Java Object Serialization Specification 6.4 (a class descriptor is 0x72 and the class's name behind its
length). The names are stated; what the objects hold is not followed, so the reading stays incomplete.
"""

from scanners.facts import Identified, Operator
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "java-object"

_MAGIC = b"\xac\xed\x00\x05"
_DESCRIPTION = late(rb"\x72(?=(\x00[\x02-\xff])([A-Za-z_\[][\w.$;\[]{1,254}))")
"""what looks like one may stand before a true one, and must not take its first byte"""
_MOST_CLASSES = 500
_MOST_BYTES = 64 << 20
_STEP = 1 << 20


def matches(blob: Blob) -> bool:
    """Return whether the blob begins as a stream of Java objects."""
    return blob.reader.read_at(0, 4) == _MAGIC


def read(blob: Blob, reading: Reading) -> None:
    """State the classes that the stream describes."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    told: set[str] = set()
    for place in range(0, min(blob.reader.size, _MOST_BYTES), _STEP):
        piece = blob.reader.read_at(place, _STEP + 260)
        for match in _DESCRIPTION.finditer(piece):
            length = int.from_bytes(match[1], "big")
            name = match[2][:length].decode("ascii")
            if len(match[2]) >= length and name not in told and len(told) < _MOST_CLASSES:
                told.add(name)
                location = reading.at(place + match.start())
                reading.state(Operator(location=location, framework="java", name=name))
    reading.unread("objects of Java are named, not analysed")
