"""What people make of scikit-learn, gradient boosting, scipy and statsmodels together: searches, stacks, formulas."""

import pickle
import sys
import warnings
from pathlib import Path

import joblib
import lightgbm as lgb
import numpy as np
import pandas as pd
import scipy.interpolate
import scipy.optimize
import scipy.spatial
import scipy.stats as st
import statsmodels.api as sm
import statsmodels.formula.api as smf
import xgboost as xgb
from sklearn import calibration, gaussian_process, impute, neighbors, svm
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, fbeta_score, make_scorer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

warnings.simplefilter("ignore")
OUT = Path(sys.argv[1])
R = np.random.default_rng(0)
X = R.normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int)


def save(name, make):
    """Write what ``make`` returns as pickle and as joblib."""
    value = make()
    (OUT / f"{name}.pkl").write_bytes(pickle.dumps(value))
    joblib.dump(value, OUT / f"{name}.joblib")


save(
    "xgb-callbacks",
    lambda: xgb.XGBClassifier(
        n_estimators=3, callbacks=[xgb.callback.EarlyStopping(2)], eval_metric=["logloss", "auc"]
    ).fit(X, Y, eval_set=[(X, Y)], verbose=0),
)
save("xgb-ranker", lambda: xgb.XGBRanker(n_estimators=3).fit(X, Y, group=[30, 30]))
save("xgb-frame", lambda: xgb.XGBClassifier(n_estimators=3, enable_categorical=True).fit(pd.DataFrame({"a": pd.Categorical(["x", "y"] * 30), "b": X[:, 0]}), Y))
save("xgb-dart", lambda: xgb.XGBRegressor(booster="dart", n_estimators=2, objective="reg:squarederror").fit(X, Y))
save(
    "lgb-dataset",
    lambda: lgb.LGBMClassifier(n_estimators=3, verbose=-1, callbacks=None).fit(
        X, Y, eval_set=[(X, Y)], callbacks=[lgb.early_stopping(2, verbose=False), lgb.log_evaluation(0)]
    ),
)
save("lgb-booster", lambda: lgb.train({"verbose": -1, "objective": "binary"}, lgb.Dataset(X, Y), 3))
save("ttr", lambda: TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1).fit(X, Y))
save(
    "random-search-dists",
    lambda: RandomizedSearchCV(
        LogisticRegression(),
        {"C": st.loguniform(1e-2, 1e2), "tol": st.uniform(1e-4, 1e-2), "max_iter": st.randint(50, 100)},
        n_iter=2,
        cv=2,
        scoring=make_scorer(fbeta_score, beta=2),
    ).fit(X, Y),
)
save(
    "halving",
    lambda: GridSearchCV(
        Pipeline([("s", StandardScaler()), ("m", RandomForestClassifier(3))]),
        {"m__max_depth": [1, 2]},
        cv=StratifiedKFold(2, shuffle=True, random_state=0),
        scoring={"f1": make_scorer(f1_score), "auc": "roc_auc"},
        refit="f1",
    ).fit(X, Y),
)
save(
    "columns",
    lambda: (
        Pipeline(
            [
                (
                    "c",
                    ColumnTransformer(
                        [
                            ("n", Pipeline([("i", impute.SimpleImputer()), ("s", StandardScaler())]), ["b"]),
                            ("o", OneHotEncoder(handle_unknown="ignore"), ["a"]),
                            ("f", FunctionTransformer(np.log1p, feature_names_out="one-to-one"), ["b2"]),
                        ],
                        remainder="drop",
                    ),
                ),
                ("m", HistGradientBoostingClassifier(max_iter=3)),
            ]
        )
        .set_output(transform="default")
        .fit(pd.DataFrame({"a": ["x", "y"] * 30, "b": X[:, 0], "b2": abs(X[:, 1])}), Y)
    ),
)
save(
    "selector",
    lambda: make_pipeline(make_column_transformer((StandardScaler(), make_column_selector(dtype_include=float))), LogisticRegression()).fit(
        pd.DataFrame(X, columns=list("abcd")), Y
    ),
)
save("calibrated", lambda: calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2).fit(X, Y))
save(
    "stack",
    lambda: StackingClassifier(
        [("x", xgb.XGBClassifier(n_estimators=2)), ("l", lgb.LGBMClassifier(n_estimators=2, verbose=-1))], LogisticRegression(), cv=2
    ).fit(X, Y),
)
save("gp", lambda: gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF() + gaussian_process.kernels.WhiteKernel() * 2).fit(X, Y))
save("knn", lambda: neighbors.KNeighborsClassifier(metric="minkowski", p=3, algorithm="kd_tree").fit(X, Y))
save(
    "dict",
    lambda: {
        "model": LogisticRegression().fit(X, Y),
        "features": pd.Index(list("abcd")),
        "threshold": np.float64(0.5),
        "classes": np.array(["a", "b"], dtype=object),
        "meta": {"date": pd.Timestamp("2026-01-01"), "path": Path("x"), "version": "1"},
    },
)
save(
    "scipy",
    lambda: [
        st.norm(0, 1),
        st.gaussian_kde(X[:, 0]),
        st.gamma(2),
        scipy.interpolate.CubicSpline([1, 2, 3], [1, 2, 3]),
        scipy.spatial.cKDTree(X),
        scipy.optimize.minimize(lambda x: x @ x, np.ones(2)),
    ],
)
save("sm-formula", lambda: smf.ols("y ~ x", pd.DataFrame({"x": X[:, 0], "y": Y})).fit())
save("sarimax", lambda: sm.tsa.SARIMAX(X[:, 0], order=(1, 0, 0)).fit(disp=0))
save("holt", lambda: sm.tsa.ExponentialSmoothing(abs(X[:, 0]) + 1, trend="add").fit())
save("rlm", lambda: sm.RLM(X[:, 0], sm.add_constant(X[:, 1:])).fit())
save("mixed", lambda: sm.MixedLM(X[:, 0], X[:, 1:], groups=np.arange(60) % 5).fit())
save("var", lambda: sm.tsa.VAR(X).fit(1))
save("poisson", lambda: sm.GLM(Y, X, family=sm.families.Poisson()).fit())
for name, formula in {"terms": "np.log1p(np.abs(y)) ~ C(group) * x + I(x ** 2) - 1", "logit": "y ~ x + group"}.items():
    table = pd.DataFrame({"x": X[:, 0], "y": Y if name == "logit" else X[:, 1], "group": ["a", "b", "c"] * 20})
    kind = smf.logit if name == "logit" else smf.ols
    kind(formula, table.assign(x=X[:, 2])).fit(**({"disp": 0} if name == "logit" else {})).save(OUT / f"sm-{name}.pickle")
