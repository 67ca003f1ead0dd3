"""Code that is not Python, before it meets bytes of others: decompressors.

Python checks every index; C does not. Whoever runs parsers for several strangers in one process may want to know when
one of them comes to such code, and refuse (`sys.addaudithook`). The interpreter itself tells of its own compiler, by
the event `compile`.
"""

import sys

EVENT = "modelsign.native"
"""the audit event; its one argument names the code"""


def meet(name: str) -> None:
    """Announce that bytes of the file are about to reach ``name``. What an audit hook raises ends the parsing."""
    sys.audit(EVENT, name)
