"""One file per predicate type."""
