"""Makes safetensors of a checkpoint; a person runs it."""

import argparse
import glob
import os
import shutil

import torch
from safetensors.torch import save_file


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", default="converted")
    given = parser.parse_args()
    os.makedirs(given.target, exist_ok=True)
    for path in glob.glob(os.path.join(given.source, "*.bin")):
        state = torch.load(path, map_location="cpu", weights_only=True)
        save_file(state, os.path.join(given.target, os.path.basename(path).replace(".bin", ".safetensors")))
    shutil.copy(os.path.join(given.source, "config.json"), given.target)


if __name__ == "__main__":
    main()
