"""Functions of the standard library that turn digits into bytes, by the names that code calls them by.

Pickles and Python source hide names and payloads behind them, and whoever follows either has to undo the same ones.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Final

DECODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "base64.b64decode": base64.b64decode,
    "base64.standard_b64decode": base64.b64decode,
    "base64.urlsafe_b64decode": base64.urlsafe_b64decode,
    "base64.decodebytes": base64.decodebytes,
    "base64.b32decode": base64.b32decode,
    "base64.b16decode": base64.b16decode,
    "base64.b85decode": base64.b85decode,
    "base64.a85decode": base64.a85decode,
    "binascii.a2b_base64": binascii.a2b_base64,
    "binascii.unhexlify": binascii.unhexlify,
}
"""what each does to the ASCII bytes of its text; `binascii.Error` and `ValueError` are theirs"""
