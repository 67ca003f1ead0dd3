"""What callables do to values (semantics.toml), and which are harmless or dangerous (judgement.toml)."""
