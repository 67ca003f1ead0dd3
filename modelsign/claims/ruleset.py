"""The digest of everything that judges: a statement names the rules it was made with, not only their version."""

import hashlib
import json

_KNOWLEDGE = "scanners.knowledge"


def ruleset_digest() -> str:
    """Return the SHA-256 over all rules and over the knowledge about callables, as plain hex."""
    from importlib import resources  # only whoever attests needs the digest; whoever verifies reads it

    from scanners.registry import ALL_RULES

    digest = hashlib.sha256()
    rules = [
        [rule.id, rule.name, rule.severity.value, rule.summary, rule.fix, rule.cwe]
        for rule in sorted(ALL_RULES, key=lambda rule: rule.id)
    ]
    digest.update(json.dumps(rules, separators=(",", ":")).encode("ascii"))
    for file in sorted(resources.files(_KNOWLEDGE).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            data = file.read_bytes()
            digest.update(f"{file.name} {len(data)}\n".encode())
            digest.update(data)
    return digest.hexdigest()
