"""What stands around scikit-learn and torch: samplers, encoders, topic models, clusterings, vision and graph models."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from saving import OUT, save_if_made as save

warnings.simplefilter("ignore")
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4))
Y = (X[:, 0] > 0.8).astype(int)
FRAME = pd.DataFrame({"a": ["x", "y", "z"] * 20, "b": RANDOM.normal(size=60), "c": ["u", "v"] * 30, "d": pd.date_range("2026-01-01", periods=60)})
WORDS = [["human", "interface", "computer"], ["survey", "user", "computer", "system"], ["graph", "trees", "system"]] * 8


from imblearn import combine, ensemble, over_sampling, pipeline, under_sampling
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

for kind in (over_sampling.SMOTE, over_sampling.RandomOverSampler, over_sampling.ADASYN, over_sampling.BorderlineSMOTE, over_sampling.SVMSMOTE,
             under_sampling.RandomUnderSampler, under_sampling.NearMiss, under_sampling.TomekLinks, under_sampling.EditedNearestNeighbours,
             under_sampling.ClusterCentroids, combine.SMOTETomek, combine.SMOTEENN):  # fmt: skip
    def sampled(kind=kind):
        """Resample once."""
        sampler = kind()
        sampler.fit_resample(X, Y)
        return sampler
    save(f"imblearn-{kind.__name__}", sampled)
for kind in (ensemble.BalancedRandomForestClassifier, ensemble.EasyEnsembleClassifier, ensemble.RUSBoostClassifier, ensemble.BalancedBaggingClassifier):
    save(f"imblearn-{kind.__name__}", lambda kind=kind: kind(n_estimators=3).fit(X, Y))
save("imblearn-pipeline", lambda: pipeline.make_pipeline(StandardScaler(), over_sampling.SMOTE(), LogisticRegression()).fit(X, Y))

import category_encoders

for name in category_encoders.__all__:
    save(f"category_encoders-{name}", lambda name=name: getattr(category_encoders, name)(cols=["a", "c"]).fit(FRAME[["a", "b", "c"]], Y))

import feature_engine.creation
import feature_engine.datetime
import feature_engine.discretisation
import feature_engine.encoding
import feature_engine.imputation
import feature_engine.outliers
import feature_engine.selection
import feature_engine.transformation

for module in (feature_engine.encoding, feature_engine.imputation, feature_engine.discretisation, feature_engine.outliers,
               feature_engine.transformation, feature_engine.selection, feature_engine.datetime, feature_engine.creation):  # fmt: skip
    for name in module.__all__:
        def fitted(module=module, name=name):
            """Fit on whichever tiny data the transformer takes."""
            for frame in (FRAME, FRAME[["b"]].abs() + 1, FRAME[["a", "b", "c"]], FRAME[["a", "c"]]):
                try:
                    return getattr(module, name)().fit(frame, pd.Series(Y))
                except Exception:  # noqa: BLE001, S112
                    continue
            return getattr(module, name)()
        save(f"feature_engine-{name}", fitted)

import hdbscan
import umap

save("hdbscan", lambda: hdbscan.HDBSCAN(prediction_data=True, gen_min_span_tree=True, min_cluster_size=4).fit(X))
save("code-umap", lambda: umap.UMAP(n_neighbors=5, n_epochs=5, random_state=0).fit(X))

from mlxtend import classifier, feature_selection
from mlxtend.preprocessing import TransactionEncoder

save("mlxtend-stacking", lambda: classifier.StackingClassifier([LogisticRegression()], LogisticRegression()).fit(X, Y))
save("mlxtend-ensemble", lambda: classifier.EnsembleVoteClassifier([LogisticRegression()]).fit(X, Y))
save("mlxtend-selector", lambda: feature_selection.SequentialFeatureSelector(LogisticRegression(), k_features=2, cv=2).fit(X, Y))
save("mlxtend-transactions", lambda: TransactionEncoder().fit(WORDS))

import gensim

dictionary = gensim.corpora.Dictionary(WORDS)
corpus = [dictionary.doc2bow(text) for text in WORDS]
tagged = [gensim.models.doc2vec.TaggedDocument(words, [number]) for number, words in enumerate(WORDS)]
models = {
    "word2vec": gensim.models.Word2Vec(WORDS, vector_size=8, min_count=1, epochs=1),
    "fasttext": gensim.models.FastText(WORDS, vector_size=8, min_count=1, epochs=1, bucket=100),
    "doc2vec": gensim.models.Doc2Vec(tagged, vector_size=8, min_count=1, epochs=1),
    "lda": gensim.models.LdaModel(corpus, num_topics=2, id2word=dictionary),
    "lsi": gensim.models.LsiModel(corpus, num_topics=2, id2word=dictionary),
    "hdp": gensim.models.HdpModel(corpus, dictionary),
    "tfidf": gensim.models.TfidfModel(corpus),
    "phrases": gensim.models.Phrases(WORDS, min_count=1),
    "similarity": gensim.similarities.MatrixSimilarity(corpus, num_features=len(dictionary)),
    "nmf": gensim.models.Nmf(corpus, num_topics=2, id2word=dictionary),
}
for name, model in models.items():
    model.save(str(OUT / f"gensim-{name}.model"))
    save(f"gensim-{name}", lambda model=model: model)
dictionary.save(str(OUT / "gensim-dictionary.dict"))
models["word2vec"].wv.save(str(OUT / "gensim.kv"))
models["word2vec"].wv.save_word2vec_format(str(OUT / "vectors.w2v"), binary=True)
models["word2vec"].wv.save_word2vec_format(str(OUT / "vectors.txt"))
gensim.corpora.MmCorpus.serialize(str(OUT / "corpus.mm"), corpus)

import optuna

study = optuna.create_study()
study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=2)
save("optuna-study", lambda: study)
save("optuna-sampler", lambda: optuna.samplers.TPESampler(seed=1))

import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

torch.manual_seed(0)
operators = torch.library.Library("torchvision", "DEF")
operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold, float scale, int zero_point) -> Tensor")
import timm
import timm.optim
import timm.scheduler
import timm.utils
import torchvision
from torchvision.transforms import v2

for name in ("resnet18", "mobilenet_v3_small", "efficientnet_b0", "vit_b_16", "swin_t", "convnext_tiny", "squeezenet1_0", "shufflenet_v2_x0_5", "mnasnet0_5",
             "fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large", "retinanet_resnet50_fpn", "lraspp_mobilenet_v3_large",
             "deeplabv3_mobilenet_v3_large", "maskrcnn_resnet50_fpn", "googlenet", "densenet121", "raft_small"):  # fmt: skip
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **({"weights_backbone": None} if any(part in name for part in ("fpn", "320", "lraspp", "deeplab")) else {}))
    torch.save(model, OUT / f"torchvision-{name}.pth")
transform = torchvision.transforms
torch.save(transform.Compose([transform.Resize(8), transform.CenterCrop(8), transform.ToTensor(), transform.Normalize(0.5, 0.5)]), OUT / "transforms.pt")
torch.save(v2.Compose([v2.Resize(8), v2.ToDtype(torch.float32, scale=True)]), OUT / "transforms-v2.pt")
for name in ("resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_050", "efficientnet_b0", "convnext_atto", "swin_tiny_patch4_window7_224", "mixer_s32_224", "deit_tiny_distilled_patch16_224", "eva02_tiny_patch14_224"):
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    torch.save(model, OUT / f"timm-{name}.pt")
import argparse

net = timm.create_model("test_resnet", pretrained=False)
optimizer = timm.optim.create_optimizer_v2(net, opt="adamw", lr=1e-3)
schedule, _ = timm.scheduler.create_scheduler_v2(optimizer, num_epochs=2)
ema = timm.utils.ModelEmaV3(net)
torch.save({
    "epoch": 1, "arch": "test_resnet", "state_dict": net.state_dict(), "optimizer": optimizer.state_dict(), "version": 2, "metric": 0.5,
    "args": argparse.Namespace(model="test_resnet", lr=1e-3, data_dir=Path("data"), mean=(0.5,)), "state_dict_ema": ema.module.state_dict(),
}, OUT / "timm-checkpoint.pth.tar")  # fmt: skip
torch.save({"optimizer": optimizer, "scheduler": schedule, "ema": ema}, OUT / "timm-objects.pth")

import torch_geometric.nn as graphs
from torch_geometric.data import Data, HeteroData

data = Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]), y=torch.zeros(3))
hetero = HeteroData()
hetero["paper"].x = torch.ones(2, 2)
hetero["paper", "cites", "paper"].edge_index = torch.tensor([[0], [1]])
torch.save(data, OUT / "graph-data.pt")
torch.save(hetero, OUT / "graph-hetero.pt")
torch.save([data, data], OUT / "graph-list.pt")
for name, model in {
    "gcn": graphs.GCN(2, 4, 2), "gat": graphs.GAT(2, 4, 2), "sage": graphs.GraphSAGE(2, 4, 2), "gin": graphs.GIN(2, 4, 2),
    "sequential": graphs.Sequential("x, edge_index", [(graphs.GCNConv(2, 4), "x, edge_index -> x"), nn.ReLU()]),
}.items():  # fmt: skip
    torch.save(model, OUT / f"code-graph-{name}.pt")
    torch.save(model.state_dict(), OUT / f"graph-{name}-state.pt")

import torchao
from torchao.quantization import Int8WeightOnlyConfig, quantize_

linear = nn.Sequential(nn.Linear(32, 32))
try:
    quantize_(linear, Int8WeightOnlyConfig())
    torch.save(linear.state_dict(), OUT / "torchao-int8.pt")
    torch.save(linear, OUT / "torchao-int8-module.pt")
except Exception as error:  # noqa: BLE001
    print(f"not saved: torchao: {error!r}")
dynamic = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 4)), {nn.Linear}, dtype=torch.qint8)
torch.save(dynamic, OUT / "quantised-dynamic.pt")
torch.save(dynamic.state_dict(), OUT / "quantised-dynamic-state.pt")

import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

state = {"model": nn.Linear(4, 4).state_dict(), "optimizer": {"lr": 0.1, "step": torch.tensor(1)}, "epoch": 3}
dcp.save(state, checkpoint_id=OUT / "unsure-distributed")
dcp_to_torch_save(OUT / "unsure-distributed", OUT / "distributed-joined.pt")


class Small(nn.Module):
    """A module with a branch of a buffer."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.register_buffer("scale", torch.ones(2))

    def forward(self, x):
        """Scale."""
        return torch.relu(self.linear(x)) * self.scale


program = torch.export.export(Small(), (torch.ones(2, 4),), dynamic_shapes={"x": {0: torch.export.Dim("n", min=1)}})
torch.export.save(program, OUT / "program.pt2")
symbolic = torch.fx.symbolic_trace(Small())
torch.save(symbolic, OUT / "code-symbolic.pt")
torch.save(symbolic.state_dict(), OUT / "symbolic-state.pt")
pruned = nn.Linear(4, 4)
prune.l1_unstructured(pruned, "weight", 0.5)
torch.save(pruned, OUT / "pruned.pt")
torch.save(parametrizations.weight_norm(nn.Linear(4, 4)).state_dict(), OUT / "weight-norm-state.pt")
try:
    torch.save(nn.utils.weight_norm(nn.Linear(4, 4)), OUT / "weight-norm-old.pt")
except Exception as error:  # noqa: BLE001
    print(f"not saved: weight_norm: {error!r}")
torch.save(AveragedModel(nn.Linear(2, 2)), OUT / "averaged.pt")
torch.save(torch.utils.data.TensorDataset(torch.ones(2, 2)), OUT / "dataset.pt")
torch.save(torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(2, 2)), batch_size=2), OUT / "loader.pt")
torch.save(torch.distributions.Normal(0.0, 1.0), OUT / "normal.pt")
torch.save(nn.DataParallel(nn.Linear(2, 2)), OUT / "data-parallel.pt")
torch.save(torch.amp.GradScaler("cpu"), OUT / "scaler.pt")

# DeepSpeed's and FSDP's names
for name in ("zero_pp_rank_0_mp_rank_00_optim_states.pt", "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"):
    torch.save({"optimizer_state_dict": {"zero_stage": 2, "partition_count": 1, "fp32_flat_groups": [torch.zeros(8)], "loss_scaler": None}, "ds_config": {"train_batch_size": 1}, "ds_version": "0.16"}, OUT / name)
torch.save({"module": nn.Linear(2, 2).state_dict(), "param_shapes": [{"weight": torch.Size([2, 2])}], "shared_params": {}, "global_steps": 1, "args": argparse.Namespace(local_rank=0)}, OUT / "mp_rank_00_model_states.pt")
torch.save(
    {"weight": torch.zeros(16, dtype=torch.uint8), "weight.absmax": torch.ones(4), "weight.quant_map": torch.ones(16), "weight.quant_state.bitsandbytes__nf4": torch.zeros(8, dtype=torch.uint8), "SCB": torch.ones(2)},
    OUT / "bitsandbytes.bin",
)

from stable_baselines3 import A2C, DQN, PPO

for kind in (PPO, A2C, DQN):
    agent = kind("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [4]}, device="cpu")
    agent.save(OUT / f"sb3-{kind.__name__}.zip")
    agent.policy.save(OUT / f"sb3-{kind.__name__}-policy.pth")

from fastai.tabular.all import Categorify, CategoryBlock, FillMissing, Normalize, TabularDataLoaders, tabular_learner
from fastai.vision.all import DataLoaders, Learner, MSELossFlat

table = TabularDataLoaders.from_df(FRAME[["a", "b", "c"]].assign(y=Y), procs=[Categorify, FillMissing, Normalize], y_names="y", y_block=CategoryBlock(), cat_names=["a", "c"], cont_names=["b"], bs=8)
learner = tabular_learner(table, layers=[4], n_out=2, emb_szs={"a": 2, "c": 2})
learner.export(OUT / "code-fastai-tabular.pkl")
learner.path = OUT
learner.model_dir = "."
learner.save("fastai-weights")
batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 2), torch.ones(4, 1)), batch_size=2)
plain = Learner(DataLoaders(batches, batches), nn.Linear(2, 1), loss_func=MSELossFlat())
try:
    plain.export(OUT / "code-fastai-plain.pkl")
except Exception as error:  # noqa: BLE001
    print(f"not saved: fastai-plain: {error!r}")
