"""Files whose commands a tool runs: Dockerfiles, Makefiles, workflows, editors' tasks, and git's own configuration.

No loader of models opens them; people and their tools do, some as soon as a directory is opened or cloned (git's
`core.fsmonitor`, tasks that run on `folderOpen`, `.envrc`). As with scripts, what is looked for are commands that no
model needs. Sources: git-config(1), gitmodules(5) (CVE-2018-17456), the tools' documentation.
"""

import re

from scanners.errors import LimitExceeded
from scanners.facts import Code, Identified
from scanners.formats.executable import ATTACK
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "commands"

_NAMED = late(
    r"(?:Docker|Container|Make|Just|Proc|Jenkins)file(?:\.[\w.-]+)?|[\w.-]+\.(?:dockerfile|mk)|\.envrc|package\.json"
    r"|(?:docker-)?compose[\w.-]*\.ya?ml|cog\.ya?ml|devcontainer\.json|tasks\.json|\.pre-commit-config\.yaml"
    r"|\.gitlab-ci\.yml",
    re.IGNORECASE,
)
_WORKFLOW = late(rb"^\s{1,40}[\"']?runs-on[\"']?\s*:", re.MULTILINE)
_OF_GIT = frozenset({"config", ".gitconfig", ".gitmodules"})
_SECTION = late(rb"(?:\xef\xbb\xbf)?+\s*+(?:[#;][^\n]*\n\s*+)*+\[[\w.-]++[ \t]*+[\"\]]")
_RUN_BY_GIT = late(
    rb"^[ \t]*+(?:\[(?:\"(?:[^\"\\\n]|\\.)*+\"|[^\]\"\n])*+\][ \t]*+)?+"
    rb"(?:fsmonitor[ \t]*=[ \t]*+(?!\"?(?:true|false|yes|no|on|off|0|1)\"?\s*(?:[#;]|$))\S"
    rb"|(?:sshCommand|hooksPath|gitProxy|askPass|pager|editor|external|textconv|uploadpack|receivepack|helper)"
    rb"[ \t]*=[ \t]*+\S*[!|;&$`/ ]"
    rb"|(?:smudge|clean|process)[ \t]*=[ \t]*\"?+(?!git[- ]lfs [\w %.-]+\"?[ \t\r]*$)\S|\w[\w-]*[ \t]*=[ \t]*\"?!"
    rb"|(?:url|path)[ \t]*=[ \t]*\"?(?:-|ext::))[^\r\n]{0,300}",
    re.IGNORECASE | re.MULTILINE,
)
_MOST_TOLD = 20


def matches(blob: Blob) -> bool:
    """Return whether the blob is named as the tools look for it, or reads like git's configuration or a workflow."""
    name = blob.name.rsplit("/", 1)[-1]
    if _NAMED.fullmatch(name) or _is_of_git(blob):
        return True
    return name.endswith((".yml", ".yaml")) and bool(_WORKFLOW.search(blob.reader.read_at(0, 1 << 20)))


def _is_of_git(blob: Blob) -> bool:
    return blob.name.rsplit("/", 1)[-1] in _OF_GIT and bool(_SECTION.match(blob.reader.read_at(0, 65536)))


def read(blob: Blob, reading: Reading) -> None:
    """State commands worth judging."""
    size = blob.reader.size
    if size > reading.budget.limits.text:
        raise LimitExceeded("text", f"{size} bytes of commands")
    reading.state(Identified(location=reading.at(0), format=NAME))
    data = blob.reader.read_at(0, size).replace(b"\\\n", b"  ")  # a command goes on in the next line
    of_git = _is_of_git(blob)
    language, action = ("git-configuration", "git-command") if of_git else ("commands", "script-attack")
    for count, match in enumerate((_RUN_BY_GIT if of_git else ATTACK).finditer(data)):
        if count >= _MOST_TOLD:
            break
        text = match[0].decode("utf-8", "replace").strip()[:200]
        reading.state(
            Code(location=reading.at(match.start()), language=language, action=action, text=text, runs="never")
        )
    reading.parsed(0, size)
