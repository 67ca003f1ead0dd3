"""One file per format: bytes -> facts. Says what is there, judges nothing."""
