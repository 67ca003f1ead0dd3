"""Rules over the facts of one file."""
