r"""Files that pass for the weights of a storage.

torch hands the bytes of a storage to nobody, but the archive is a zip as well: `numpy.load` reads a member that begins
like an array, and a script can load any member as the pickle it is. Weights begin with any bytes, so a pickle counts
only where it names something that could be a module's, and other files by magic numbers of four bytes or more.
"""

from typing import Final

from scanners.limits import Budget, Limits
from scanners.patterns import late
from scanners.pickles import opcodes
from scanners.pickles.machine import run
from scanners.reader import Reader

HEAD: Final = 256
"""bytes from the beginning that `is_file` is given"""

_MAGIC: Final = (
    b"\x93NUMPY",
    b"PK\x03\x04",
    b"\x1f\x8b\x08\x00",
    b"\x1f\x8b\x08\x08",
    b"\xfd7zXZ\x00",
    b"(\xb5/\xfd",
    b"\x04\x22\x4d\x18",
    b"7z\xbc\xaf\x27\x1c",
    b"\x7fELF",
)
_BZIP2: Final = b"BZh", b"1AY&SY"
_TEXT: Final = frozenset(b"(c]})lid\x8cXVSUTBCIKJMNGFLP")
_RUN: Final = 65_536
"""opcodes, which no weights are by chance"""
_NAME: Final = late(r"[^\W\d][\w.]*\Z")

FIRST: Final = frozenset(magic[0] for magic in (*_MAGIC, *_BZIP2[:1])) | _TEXT | {0x80}
"""the first bytes of everything that `is_file` finds"""


def is_file(head: bytes, content: Reader) -> bool:
    """Return whether bytes that should be weights are a file of a kind that loaders load.

    Args:
        head: the first bytes, `HEAD` of them where there are as many.
        content: all of them.
    """
    if len(head) < 4 or head[0] not in FIRST:
        return False
    if head.startswith(_MAGIC) or (head.startswith(_BZIP2[0]) and head[4:10] == _BZIP2[1]):
        return True
    if head[0] == 0x80:
        return head[1] <= opcodes.HIGHEST_PROTOCOL and _imports(content, if_endless=True)
    return head[0] in _TEXT and _imports(content, if_endless=False)


def _imports(content: Reader, *, if_endless: bool) -> bool:
    """Whether a pickle names what could be something in a module within its first opcodes.

    Args:
        content: the whole storage; constants are stepped over, however long they are.
        if_endless: what to say where these opcodes end and the pickle does not. Behind the mark of a protocol that is
            a pickle; otherwise it may be one number over and over.
    """
    first = run(content, budget=Budget(limits=Limits(opcodes=_RUN, facts=_RUN)))
    if any(_NAME.match(name.module) and _NAME.match(name.name) for name in first.imports):
        return True
    return if_endless and first.limit is not None
