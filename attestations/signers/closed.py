"""sigstore-python without a socket, for machines that must open none.

urllib3, which comes with it, binds an IPv6 socket when it is imported, to see whether this machine has such addresses.
It connects to nobody, but a site that counts sockets counts this one.
"""

import socket
import sys


def import_without_sockets() -> None:
    """Import urllib3 as sigstore-python will, without the look at this machine's addresses."""
    if "urllib3" in sys.modules:
        return
    has_ipv6 = socket.has_ipv6
    socket.has_ipv6 = False
    try:
        from urllib3.util import connection
    finally:
        socket.has_ipv6 = has_ipv6
    # Who goes online later, in the same process, asks for addresses of both kinds.
    connection.HAS_IPV6 = has_ipv6
