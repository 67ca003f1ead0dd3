"""One file per container: yields named child blobs."""
