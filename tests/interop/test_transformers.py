"""What other libraries load after a conversion: transformers from directories, safetensors from every container."""

import os
from pathlib import Path

import pytest

from modelsign import convert
from tests.peers import run_peer

SCRIPT = Path(__file__).with_name("transformers_models.py")
OFFLINE = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
pytestmark = pytest.mark.interop


def test_transformers_loads_what_was_pickled_whole_and_in_shards(tmp_path: Path) -> None:
    (tmp_path / "pickled").mkdir()
    run_peer("ordinary-more", "-P", SCRIPT, "write", tmp_path / "pickled", env=OFFLINE)
    sources = sorted((tmp_path / "pickled").iterdir())
    assert len(sources) == 10
    (tmp_path / "converted").mkdir()
    for source in sources:
        convert(source, tmp_path / "converted" / source.name)
    run_peer("ordinary-more", "-P", SCRIPT, "load", tmp_path / "converted", env=OFFLINE)


def test_every_container_of_torch_gives_the_same_weights(tmp_path: Path) -> None:
    run_peer("ordinary-more", "-P", SCRIPT, "write-checkpoints", tmp_path, env=OFFLINE)
    for source in sorted(tmp_path.glob("*.[pc]*t")):
        convert(source)
    run_peer("ordinary-more", "-P", SCRIPT, "load-checkpoints", tmp_path, env=OFFLINE)
