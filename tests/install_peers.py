"""Install the programs that tests compare with: `python tests/install_peers.py .peers [--all | name …]`.

Each gets an environment of its own, so that its requirements never meet ours. A peer that cannot be installed here is
reported and left out: its tests then skip and say so.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

# torch 2.13.0 by its exact version: a newer one would bring gigabytes of CUDA packages.
# model-signing 1.1.1 imports OpenSSL without declaring it.
PYTHON_PEERS: dict[str, tuple[str, ...]] = {
    "torch": ("torch==2.13.0", "numpy==2.4.6", "safetensors==0.8.0"),
    "model-signing": ("model-signing==1.1.1", "pyopenssl==26.4.0", "pykcs11==1.5.20"),
    "boto3": ("boto3==1.44.5",),
    "picklescan": ("picklescan==1.0.5",),
    "py7zr": ("py7zr==1.1.4",),
    "ordinary-core": (
        "scikit-learn==1.9.1", "joblib==1.6.0", "pandas==3.1.1", "scipy==1.17.1", "xgboost-cpu==3.2.0",
        "lightgbm==4.7.0", "statsmodels==0.15.0", "dill==0.4.1", "cloudpickle==3.1.2", "skops==0.16.0", "lz4",
    ),
    "ordinary-exports": ("onnx==1.23.2", "skl2onnx", "scikit-learn", "gguf", "h5py==3.16.0"),
    "ordinary-pmml": ("nyoka==5.5.0", "scikit-learn==1.9.1", "pandas==3.1.1"),
    "ordinary-numpy1": ("numpy==1.26.4", "scikit-learn<1.5", "pandas<2.2", "joblib", "lz4"),
}  # fmt: skip
# Too large for every run of CI; `make peers-all` has them.
LARGE_PEERS: dict[str, tuple[str, ...]] = {
    "ordinary-runtimes": (
        "torch==2.13.0", "onnx", "onnxscript", "flax", "coremltools", "openvino", "executorch",
    ),
    "ordinary-graphs": ("tensorflow-cpu==2.21.0", "keras==3.15.1", "h5py==3.14.0"),
    "ordinary-more": (
        "torch==2.13.0", "transformers==5.23.0", "accelerate", "spacy==3.8.18", "catboost==1.2.10", "lightning==2.6.6",
    ),
    "ordinary-hub": (
        "torch==2.13.0", "transformers==5.23.0", "accelerate==1.15.0", "diffusers==0.42.1", "peft==0.21.2",
        "sentence-transformers==6.2.0", "sentencepiece", "protobuf", "pillow",
    ),
    "ordinary-wide": (
        "torch==2.13.0", "scikit-learn==1.9.1", "pandas", "imbalanced-learn==0.14.2", "category-encoders==2.11.2",
        "hdbscan==0.8.44", "umap-learn==0.5.12", "gensim==4.4.0", "feature-engine==1.9.4", "mlxtend==0.25.0",
        "optuna==5.0.0", "cloudpickle", "farama-notifications", "pyyaml", "safetensors", "matplotlib", "pillow", "tqdm",
        "requests", "psutil", "xxhash", "pyparsing", "aiohttp", "beartype", "fastprogress", "rich", "huggingface_hub",
        "sktime==1.2.0", "prophet==1.5.0", "river==0.26.1", "scikit-surprise==1.1.5",
    ),
    "ordinary-ultralytics": (
        "torch==2.13.0", "numpy==2.4.6", "opencv-python-headless", "matplotlib", "pillow", "pyyaml", "requests",
        "scipy", "psutil", "polars",
    ),
}  # fmt: skip
# Installed after those of the same name, without what they ask for: torchvision is built for CUDA and loads without,
# ultralytics asks for an OpenCV with windows, fastai for spaCy.
BARE: dict[str, tuple[str, ...]] = {
    "ordinary-wide": (
        "torchvision==0.28.0", "timm==1.0.31", "fastai==2.8.12", "fastcore", "fasttransform", "fastdownload",
        "plum-dispatch", "torch-geometric==2.8.1", "torchao==0.18.0", "stable-baselines3==2.9.2", "gymnasium==1.4.0",
        "pyod==3.6.7", "lifelines==0.30.3", "tslearn==0.10.0", "ngboost==0.6.0", "interpret-core==0.7.8", "autograd",
        "autograd-gamma", "torchmetrics==1.9.0", "lightning-utilities", "gpytorch==1.15.2", "linear_operator",
        "jaxtyping", "wadler-lindig",
    ),
    "ordinary-ultralytics": ("torchvision==0.28.0", "ultralytics==8.4.190", "ultralytics-thop"),
}  # fmt: skip
NODE_PEERS: dict[str, tuple[str, ...]] = {
    "sigstore-js": ("@sigstore/verify@4.1.3", "@sigstore/bundle@5.0.0"),
}


def main(arguments: list[str]) -> int:
    """Install the named peers (the usual ones without names) and return the number of those that failed."""
    root = Path(arguments[0]).resolve()
    python = {**PYTHON_PEERS, **LARGE_PEERS}
    names = [*python, *NODE_PEERS] if arguments[1:] == ["--all"] else arguments[1:] or [*PYTHON_PEERS, *NODE_PEERS]
    failed = 0
    for name in names:
        target = root / name
        if (target / ".installed").exists():
            continue
        try:
            if name in python:
                install_python(target, python[name], BARE.get(name, ()))
            else:
                install_node(target, NODE_PEERS[name])
            (target / ".installed").touch()
            print(f"installed {name}")
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            failed += 1
            print(f"not installed: {name}: {error}", file=sys.stderr)
    return failed


def install_python(target: Path, requirements: tuple[str, ...], bare: tuple[str, ...]) -> None:
    """Make a virtual environment with the requirements, and after them the bare ones."""
    venv.create(target, with_pip=True, clear=True)
    install = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *requirements], check=True)
    if bare:
        subprocess.run([*install, "--no-deps", *bare], check=True)


def install_node(target: Path, packages: tuple[str, ...]) -> None:
    """Make a folder with `node_modules`."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not on the path")
    target.mkdir(parents=True, exist_ok=True)
    (target / "package.json").write_text('{"private": true}\n')
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", *packages], cwd=target, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
