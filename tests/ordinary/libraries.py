"""The libraries of the false-alarm suite: which environment makes their files, and which verdicts are right.

Every file must be `clean`, unless a pattern below says what else is right and why. Nothing may be `malicious`.
"""

from dataclasses import dataclass

from scanners.findings import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A verdict other than `clean` that is right for the files a pattern matches."""

    pattern: str
    verdicts: tuple[Verdict, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A maker script, and the environment under `.peers/` it runs in."""

    name: str
    peer: str
    maker: str
    versions: tuple[str, ...]
    """distributions whose versions the table shows"""
    expected: tuple[Expectation, ...] = ()


R = "Rscript"
"""the one peer that is a program of the system"""

CODE = (Verdict.SUSPICIOUS,)
ARRAYS = (Verdict.SUSPICIOUS, Verdict.CLEAN)

_AROUND = tuple(
    "imbalanced-learn category-encoders feature-engine mlxtend hdbscan umap-learn gensim optuna timm torchvision"
    " torch-geometric torchao stable-baselines3 fastai torch".split()
)
_FURTHER = tuple(
    "pyod lifelines tslearn ngboost interpret-core scikit-surprise torchmetrics gpytorch sktime river prophet".split()
)

LIBRARIES: tuple[Library, ...] = (
    Library(name="scikit-learn", peer="ordinary-core", maker="sklearn_maker.py", versions=("scikit-learn", "joblib")),
    Library(
        name="scikit-learn, numpy 1",
        peer="ordinary-numpy1",
        maker="sklearn_maker.py",
        versions=("scikit-learn", "joblib", "numpy"),
    ),
    Library(name="numpy", peer="ordinary-core", maker="numpy_maker.py", versions=("numpy",)),
    Library(name="numpy 1", peer="ordinary-numpy1", maker="numpy_maker.py", versions=("numpy",)),
    Library(
        name="pandas, statsmodels, boosting",
        peer="ordinary-core",
        maker="tables_maker.py",
        versions=("pandas", "scipy", "statsmodels", "xgboost-cpu", "lightgbm"),
    ),
    Library(
        name="searches, stacks, formulas",
        peer="ordinary-core",
        maker="combinations_maker.py",
        versions=("scikit-learn", "scipy", "statsmodels", "xgboost-cpu", "lightgbm", "joblib"),
    ),
    Library(
        name="dill, cloudpickle, skops",
        peer="ordinary-core",
        maker="closures_maker.py",
        versions=("dill", "cloudpickle", "skops"),
        expected=(Expectation(pattern="code-*", verdicts=CODE, why="a function travels by value: code in the file"),),
    ),
    Library(name="torch", peer="torch", maker="torch_maker.py", versions=("torch",)),
    Library(
        name="Keras, TensorFlow",
        peer="ordinary-graphs",
        maker="graphs_maker.py",
        versions=("keras", "tensorflow-cpu"),
        expected=(Expectation(pattern="code-*", verdicts=CODE, why="a Lambda layer: code in the file"),),
    ),
    Library(
        name="ONNX, GGUF, HDF5",
        peer="ordinary-exports",
        maker="exports_maker.py",
        versions=("onnx", "skl2onnx", "gguf", "h5py"),
    ),
    Library(
        name="torch exporters, OpenVINO, Core ML, ExecuTorch, Flax",
        peer="ordinary-runtimes",
        maker="runtimes_maker.py",
        versions=("torch", "onnxscript", "openvino", "coremltools", "executorch", "flax"),
    ),
    Library(
        name="transformers, Lightning, spaCy, catboost",
        peer="ordinary-more",
        maker="training_maker.py",
        versions=("transformers", "lightning", "spacy", "catboost"),
    ),
    Library(
        name="ultralytics",
        peer="ordinary-ultralytics",
        maker="ultralytics_maker.py",
        versions=("ultralytics", "torchvision", "torch"),
    ),
    Library(
        name="repositories of transformers, diffusers, peft, sentence-transformers",
        peer="ordinary-hub",
        maker="hub_maker.py",
        versions=("transformers", "diffusers", "peft", "sentence-transformers", "accelerate", "tokenizers"),
    ),
    Library(
        name="around scikit-learn and torch",
        peer="ordinary-wide",
        maker="wide_maker.py",
        versions=_AROUND,
        expected=(
            Expectation(pattern="code-umap*", verdicts=CODE, why="functions that numba compiles: code in the file"),
            Expectation(pattern="code-graph-*", verdicts=CODE, why="restored through source that its state generates"),
            Expectation(pattern="code-symbolic*", verdicts=CODE, why="a traced module carries its source"),
            Expectation(pattern="code-fastai-*", verdicts=CODE, why="an export by cloudpickle"),
            Expectation(
                pattern="unsure-distributed/*.distcp",
                verdicts=CODE,
                why="several archives in a row; which of them a loader opens says another file",
            ),
        ),
    ),
    Library(
        name="outliers, survival, series, recommenders",
        peer="ordinary-wide",
        maker="further_maker.py",
        versions=_FURTHER,
        expected=(Expectation(pattern="code-prophet*", verdicts=CODE, why="names the program that a fit starts"),),
    ),
    Library(
        name="shipped with numpy, scipy, joblib, statsmodels",
        peer="ordinary-core",
        maker="shipped_maker.py",
        versions=("joblib", "scipy", "numpy", "statsmodels"),
        expected=(
            Expectation(pattern="joblib/*/joblib_0.9.*_pickle_*", verdicts=ARRAYS, why="arrays lie in other files"),
            Expectation(
                pattern="scipy/*/testvec_4_GLNX86.mat",
                verdicts=(Verdict.INCOMPLETE,),
                why="its first bytes are also those of LZMA, which Python unpacks as far as it goes",
            ),
        ),
    ),
    Library(
        name="shipped with gensim, networkx, torchmetrics, torch",
        peer="ordinary-wide",
        maker="shipped_maker.py",
        versions=("gensim", "networkx", "torchmetrics", "torch"),
        expected=(
            Expectation(pattern="*/varembed_morfessor.bin", verdicts=CODE, why="classes of a library nobody reviewed"),
            *(
                Expectation(
                    pattern=f"*/{name}_fasttext.bin",
                    verdicts=(Verdict.INCOMPLETE, Verdict.CLEAN),
                    why="fastText before version 11 has no magic number",
                )
                for name in ("cp852", "lee", "non_ascii")
            ),
        ),
    ),
    Library(
        name="shipped with onnx, h5py",
        peer="ordinary-exports",
        maker="shipped_maker.py",
        versions=("onnx", "h5py"),
    ),
    Library(name="PMML", peer="ordinary-pmml", maker="pmml_maker.py", versions=("nyoka", "scikit-learn")),
    Library(name="R", peer=R, maker="r_maker.R", versions=()),
)
