"""Outlier detectors, survival and time series models, recommenders, online learners, metrics: as pickle and joblib."""

import importlib
import logging
import warnings

import numpy as np
import pandas as pd
from saving import OUT, save_if_made as save

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4))
Y, Z = (X[:, 0] > 0).astype(int), X[:, 0]


def fitted(module, name, *data, **options):
    """Import a model's class, make one and fit it."""
    model = getattr(importlib.import_module(module), name)(**options)
    return model.fit(*data) or model


for name in ("KNN", "IForest", "LOF", "OCSVM", "PCA", "HBOS", "ECOD", "COPOD"):
    save(f"pyod-{name}", lambda name=name: fitted(f"pyod.models.{name.lower()}", name, X))

import lifelines

lives = pd.DataFrame({"time": np.abs(Z) + 0.1, "event": Y, "x": X[:, 1]})
save("lifelines-cox", lambda: lifelines.CoxPHFitter().fit(lives, "time", "event"))
for name in ("KaplanMeierFitter", "WeibullFitter", "NelsonAalenFitter"):
    save(f"lifelines-{name}", lambda name=name: getattr(lifelines, name)().fit(lives["time"], lives["event"]))
save("tslearn", lambda: fitted("tslearn.clustering", "TimeSeriesKMeans", RANDOM.normal(size=(6, 10, 1)), n_clusters=2, max_iter=2))
save("ngboost-regressor", lambda: fitted("ngboost", "NGBRegressor", X, Z, n_estimators=3, verbose=False))
save("ngboost-classifier", lambda: fitted("ngboost", "NGBClassifier", X, Y, n_estimators=3, verbose=False))
for name, target in (("ExplainableBoostingClassifier", Y), ("ExplainableBoostingRegressor", Z)):
    save(f"interpret-{name}", lambda name=name, target=target: fitted("interpret.glassbox", name, X, target, max_rounds=3, n_jobs=1, interactions=0, outer_bags=2))

import surprise

ratings = pd.DataFrame({"user": list("aabbcc"), "item": list("xyxyxy"), "rating": [1, 2, 3, 4, 5, 1]})
trainset = surprise.Dataset.load_from_df(ratings, surprise.Reader(rating_scale=(1, 5))).build_full_trainset()
for name in ("SVD", "NMF", "KNNBasic", "BaselineOnly", "SlopeOne"):
    save(f"surprise-{name}", lambda name=name: fitted("surprise", name, trainset))

import torch

operators = torch.library.Library("torchvision", "DEF")
operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold, float scale, int zero_point) -> Tensor")
import gpytorch
import torchmetrics

save("torchmetrics", lambda: torchmetrics.MetricCollection([torchmetrics.classification.BinaryAccuracy(), torchmetrics.MeanSquaredError(), torchmetrics.MeanMetric()]))
kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel() + gpytorch.kernels.MaternKernel())
save("gpytorch", lambda: [kernel, gpytorch.likelihoods.GaussianLikelihood(), gpytorch.means.ConstantMean()])

series = pd.Series(np.abs(Z) + 1, index=pd.period_range("2020-01", periods=60, freq="M"))
for module, name in (("naive", "NaiveForecaster"), ("exp_smoothing", "ExponentialSmoothing"), ("theta", "ThetaForecaster"), ("trend", "PolynomialTrendForecaster")):
    save(f"sktime-{name}", lambda module=module, name=name: fitted(f"sktime.forecasting.{module}", name, series))

from river import compose, forest, linear_model, preprocessing

for name, model in {
    "pipeline": compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
    "forest": forest.ARFClassifier(n_models=2),
}.items():
    for row, target in zip(X, Y, strict=True):
        model.learn_one(dict(enumerate(row)), bool(target))
    save(f"river-{name}", lambda model=model: model)

from prophet import Prophet
from prophet.serialize import model_to_json

forecast = Prophet().fit(pd.DataFrame({"ds": pd.date_range("2020-01-01", periods=60), "y": Z}))
save("code-prophet", lambda: forecast)
(OUT / "prophet.json").write_text(model_to_json(forecast))
