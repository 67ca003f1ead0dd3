"""What callables do to values (semantics.toml), and which are harmless or dangerous (judgement.toml)."""

RULESET = "2026.11.0"
"""CalVer of the rules and of judgement.toml; it changes whenever the same facts may be judged differently."""
