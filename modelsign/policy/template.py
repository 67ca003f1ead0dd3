"""A policy to start with: strict, commented, and true for the keys and identities it is given."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path


def template(
    *, name: str, keys: Sequence[Path], identity: str | None, issuer: str | None, today: date, beside: Path
) -> str:
    """Return the text of a policy file.

    Args:
        name: what to call it.
        keys: public keys to trust.
        identity: a keyless identity to trust, exact or a glob.
        issuer: who vouches for it.
        today: the policy expires a year from this day.
        beside: the directory in which the policy will lie; keys are named relative to it where they can be.
    """
    named = {f"key-{number}" if len(keys) > 1 else "release": path for number, path in enumerate(keys, start=1)}
    signers = [*named, *(["ci"] if identity is not None else [])] or ["release"]
    lines = [
        "# What is asked of a model before it may be loaded: modelsign verify MODEL --policy this-file",
        "# Every key is explained in docs/policy.md; `modelsign policy explain` tells it in sentences.",
        "schema = 1",
        f"name = {_text(name)}",
        f"expires = {(today + timedelta(days=365)).isoformat()}",
        'mode = "enforce"                 # "warn" tells what would be denied, and lets it pass',
        "",
        "[trust]",
    ]
    if named:
        shown = ", ".join(f"{key} = {_text(_relative(path, beside))}" for key, path in named.items())
        lines.append(f"keys = {{ {shown} }}      # relative to this file")
    elif identity is None:
        lines.append('# keys = { release = "modelsign.pub" }      # relative to this file')
    if identity is not None:
        lines.append('sigstore = "public-good"          # or "staging", the path of a trusted root, an address')
    lines += ["", "[identities]"]
    lines += [f"{key} = {{ key = {_text(key)} }}" for key in named]
    if identity is not None:
        lines.append(f"ci = {{ issuer = {_text(issuer or '')}, subject = {_text(identity)} }}")
    if not named and identity is None:
        lines.append('# release = { key = "release" }')
        lines.append(
            '# ci = { issuer = "https://token.actions.githubusercontent.com", subject = "https://github.com/…" }'
        )
    comment = "" if named or identity is not None else "# "
    by = f"{comment}by = [{', '.join(map(_text, signers))}]"
    trusted = "" if identity is not None and not named else "# max_age needs a clock that is not the signer's\n# "
    lines += [
        "",
        "[model]",
        'formats = ["safetensors", "gguf", "onnx"]      # beside configuration and text',
        'unsigned_files = "deny"',
        'symlinks = "deny"',
        'remote_code = "deny"',
        "",
        "[require.signature]",
        by,
        "",
        "[require.scan]",
        by,
        "complete = true",
        'max_severity = "low"',
        f'{trusted}max_age = "30d"',
    ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, but for characters TOML wants escaped differently, which JSON escapes too.
    return json.dumps(value, ensure_ascii=True)


def _relative(path: Path, beside: Path) -> str:
    resolved, base = path.resolve(), beside.resolve()
    return resolved.relative_to(base).as_posix() if resolved.is_relative_to(base) else str(resolved)
