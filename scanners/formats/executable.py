"""Programs that lie among the weights: ELF, PE, Mach-O, WebAssembly, bytecode, scripts, llamafiles.

They are named, not analysed: machine code is no model, and what a loader does with it (`dlopen`, a plug-in directory)
no reader can tell from the bytes.
"""

import re
import struct

from scanners.detect import suffix_of
from scanners.facts import Code, Identified
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "executable"

_MACHO = {b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"}
_FAT = {b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"}
_SCRIPTS = {
    "sh": "shell", "bash": "shell", "zsh": "shell", "command": "shell", "bat": "batch", "cmd": "batch",
    "ps1": "powershell", "psm1": "powershell", "vbs": "vbscript", "js": "javascript", "mjs": "javascript",
    "lua": "lua", "pl": "perl", "rb": "ruby", "php": "php", "applescript": "applescript", "hta": "html",
    "reg": "registry", "desktop": "desktop-entry", "lnk": "shortcut",
}  # fmt: skip
_COMPILED = frozenset(
    {"elf", "pe", "mach-o", "webassembly", "llamafile", "python-bytecode", "java-class", "dex", "lua-bytecode"}
)
_LONGEST_SCRIPT = 4 << 20
ATTACK = late(
    rb"/dev/(?:tcp|udp)/[\w.$-]|\b(?:nc|ncat|netcat)\b[^\n]{0,80}\s-[a-z]*e[a-z]*\s+\S*(?:sh|cmd)|\bmkfifo\b[^\n]{0,200}\bnc\b"
    rb"|base64\s+(?:-d|-D|--decode)\b[^\n|]{0,80}\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b"
    rb"|\b(?:curl|wget)\b[^\n|]{0,200}(?:http://|\d{1,3}(?:\.\d{1,3}){3})[^\n|]{0,200}\|\s*(?:sudo\s+)?(?:(?:ba|z|da)?sh|python3?)\b"
    rb"|\b(?:curl|wget)\b(?![^\n|]{0,400}https://)[^\n|$]{0,200}\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b"
    rb"|powershell[^\n]{0,80}\s-e(?:nc|ncodedcommand|c)?\s+[A-Za-z0-9+/=]{16}"
    rb"|(?:IEX|Invoke-Expression)\b[^\n]{0,80}(?:DownloadString|Invoke-WebRequest|iwr|WebClient)"
    rb"|authorized_keys|\bcrontab\s+-(?!l\b|\s*$)|/etc/cron|WScript\.Shell|os\.execute\s*\(|io\.popen\s*\(",
    re.IGNORECASE,
)
"""what no script that belongs to a model does: shells for other machines, text that is fetched or decoded and run"""
_PYC_MAGIC = range(3000, 4000)
"""CPython's bytecode magic numbers of 3.x, followed by CR LF"""


def matches(blob: Blob) -> bool:
    """Return whether an operating system, an interpreter or a linker would take the blob as a program."""
    return _language(blob) is not None


def read(blob: Blob, reading: Reading) -> None:
    """Name the program."""
    language = _language(blob) or ""
    compiled = language in _COMPILED
    reading.state(Identified(location=reading.at(0), format=NAME if compiled else "script", detail=language))
    head = blob.reader.read_at(0, 200)
    text = (
        f"{language} program of {blob.reader.size} bytes"
        if compiled
        else head.split(b"\n")[0].decode("utf-8", "replace")
    )
    reading.state(Code(location=reading.at(0), language=language, action="executable", text=text, runs="never"))
    if compiled:
        reading.unread(f"machine code is not analysed ({language})")
    else:
        size = min(blob.reader.size, _LONGEST_SCRIPT)
        for match in ATTACK.finditer(blob.reader.read_at(0, size)):
            line = match[0].decode("utf-8", "replace")[:200]
            place = reading.at(match.start())
            reading.state(Code(location=place, language=language, action="script-attack", text=line, runs="never"))
        reading.parsed(0, size)


def _language(blob: Blob) -> str | None:
    head = blob.reader.read_at(0, 64)
    if head.startswith(b"\x7fELF"):
        return "elf"
    if head.startswith(b"MZqFpD"):
        return "llamafile"
    if head.startswith(b"MZ"):
        return "pe" if _is_pe(blob, head) else None
    if head[:4] in _MACHO:
        return "mach-o"
    if head[:4] in _FAT and len(head) >= 8:
        count = struct.unpack(">I", head[4:8])[0]
        return "mach-o" if 0 < count < 40 else "java-class"
    if head.startswith(b"\0asm"):
        return "webassembly"
    if head.startswith(b"dex\n"):
        return "dex"
    if head.startswith((b"\x1bLua", b"\x1bLJ")):
        return "lua-bytecode"
    if len(head) >= 16 and head[2:4] == b"\r\n" and int.from_bytes(head[:2], "little") in _PYC_MAGIC:
        return "python-bytecode"
    if head.startswith(b"#!"):
        return None if b"python" in head.split(b"\n")[0] else "script"
    return _SCRIPTS.get(suffix_of(blob.name))


def _is_pe(blob: Blob, head: bytes) -> bool:
    if len(head) < 64:
        return False
    offset = struct.unpack("<I", head[60:64])[0]
    return blob.reader.read_at(offset, 4) in {b"PE\0\0", b"NE", b"LE"} or blob.name.lower().endswith((".exe", ".dll"))
