"""PMML as nyoka exports it from scikit-learn pipelines."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from nyoka import skl_to_pmml
from sklearn import linear_model, tree
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

OUT = Path(sys.argv[1])
X = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=list("abc"))
Y = (X.a > 0).astype(int)
models = {
    "logistic": [("model", linear_model.LogisticRegression())],
    "linear": [("model", linear_model.LinearRegression())],
    "tree": [("model", tree.DecisionTreeClassifier(max_depth=3))],
    "scaled": [("scale", StandardScaler()), ("model", tree.DecisionTreeRegressor(max_depth=3))],
}
for name, steps in models.items():
    fitted = Pipeline(steps).fit(X, Y)
    skl_to_pmml(pipeline=fitted, col_names=list("abc"), target_name="y", pmml_f_name=str(OUT / f"{name}.pmml"))
