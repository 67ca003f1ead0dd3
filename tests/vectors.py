"""Where files made by others lie; tests that read them skip, and say why, where they are absent."""

import os
from pathlib import Path

import pytest

VECTORS = Path(os.environ.get("MODELSIGN_VECTORS", Path(__file__).resolve().parents[2] / "shared" / "vectors"))

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason=f"no test vectors of others at {VECTORS}")
