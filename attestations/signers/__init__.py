"""One file per signing method, sign and verify side by side."""
