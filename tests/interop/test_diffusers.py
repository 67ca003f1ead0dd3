"""What diffusers loads after a conversion: a pipeline's folders, whole and in shards, with and without a variant."""

import os
from pathlib import Path

import pytest

from modelsign import convert
from tests.peers import run_peer

SCRIPT = Path(__file__).with_name("diffusers_pipelines.py")
OFFLINE = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
pytestmark = pytest.mark.interop


def test_diffusers_loads_every_layout_of_a_pickled_pipeline(tmp_path: Path) -> None:
    run_peer("ordinary-hub", "-P", SCRIPT, "write", tmp_path / "pickled", env=OFFLINE)
    sources = sorted((tmp_path / "pickled").iterdir())
    assert len(sources) == 4
    for source in sources:
        convert(source, tmp_path / "converted" / source.name)
    run_peer("ordinary-hub", "-P", SCRIPT, "load", tmp_path / "converted", env=OFFLINE)
