"""sigstore-python without a socket, for machines that must open none.

urllib3, which comes with it, binds an IPv6 socket when it is imported, to see whether this machine has such addresses.
It connects to nobody, but a site that counts sockets counts this one.
"""

import socket
import sys

_MODULE = "urllib3.util.connection"


def import_without_sockets() -> None:
    """Import what sigstore-python will, without the look at this machine's addresses."""
    if _MODULE in sys.modules:
        return
    has_ipv6 = socket.has_ipv6
    socket.has_ipv6 = False
    try:
        import requests  # noqa: F401 - for what it imports
    finally:
        socket.has_ipv6 = has_ipv6
    # Who goes online later, in the same process, asks for addresses of both kinds.
    vars(sys.modules[_MODULE])["HAS_IPV6"] = has_ipv6
