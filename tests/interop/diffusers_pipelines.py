"""Runs where diffusers is: writes a small pipeline with pickled weights in all layouts, and loads the conversions."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

diffusers, torch = map(import_module, ("diffusers", "torch"))

LAYOUTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "shards": {"max_shard_size": "8KB"},
    "variant": {"variant": "fp16"},
    "variant-shards": {"variant": "fp16", "max_shard_size": "8KB"},
}


def pipeline() -> Any:
    """Return the smallest pipeline with a network in it."""
    torch.manual_seed(20261123)
    network = diffusers.UNet2DModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return diffusers.DDPMPipeline(network, diffusers.DDIMScheduler())


def write(folder: Path) -> None:
    """Write it once in each layout."""
    for name, options in LAYOUTS.items():
        pipeline().save_pretrained(folder / name, safe_serialization=False, **options)
        pickles = list((folder / name).rglob("*.bin"))
        assert (len(pickles) > 1) == ("max_shard_size" in options), pickles


def load(folder: Path) -> None:
    """Load every conversion; each must be the pipeline that was written, bit by bit."""
    expected = pipeline().unet.state_dict()
    for name, options in LAYOUTS.items():
        assert not list((folder / name).rglob("*.bin*"))
        loaded = diffusers.DiffusionPipeline.from_pretrained(
            folder / name, use_safetensors=True, variant=options.get("variant")
        )
        found = loaded.unet.state_dict()
        assert expected.keys() == found.keys(), name
        for key, tensor in expected.items():
            assert found[key].dtype == tensor.dtype, (name, key)
            assert torch.equal(found[key], tensor), (name, key)


if __name__ == "__main__":
    {"write": write, "load": load}[sys.argv[1]](Path(sys.argv[2]))
