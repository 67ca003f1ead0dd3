"""pandas, statsmodels, scipy and the gradient boosting libraries."""

import warnings

import numpy as np
import pandas as pd
import scipy.sparse
import statsmodels.api as sm
from saving import OUT, save

warnings.simplefilter("ignore")
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


frame = pd.DataFrame({
    "number": X[:, 0],
    "text": ["a", "b"] * 20,
    "category": pd.Categorical(["x", "y"] * 20),
    "date": pd.date_range("2026-01-01", periods=40),
    "zoned": pd.date_range("2026-01-01", periods=40, tz="UTC"),
    "nullable": pd.array([1, None] * 20, dtype="Int64"),
})  # fmt: skip
save("frame", frame)
frame.to_pickle(OUT / "frame-to_pickle.pkl")
frame.to_pickle(OUT / "frame.pkl.gz")
save("series", frame["number"])
save("multi-index", frame.set_index(["text", "date"]))
save("interval", pd.Series(pd.interval_range(0, 3)))
save("period", pd.Series(pd.period_range("2026-01", periods=3, freq="M")))
save("timedelta", pd.Series(pd.to_timedelta([1, 2], unit="h")))
save("groups", frame.groupby("text")["number"].agg(["mean", "std"]))
for kind in ("csr", "csc", "coo", "lil", "dok", "bsr"):
    save(f"sparse-{kind}", getattr(scipy.sparse, f"{kind}_matrix")(np.eye(4)))
save("ols", sm.OLS(X[:, 2], sm.add_constant(X[:, :2])).fit())
save("logit", sm.Logit(Y, sm.add_constant(X[:, 2:])).fit(disp=0))
save("glm", sm.GLM(Y, sm.add_constant(X), family=sm.families.Binomial()).fit())
save("arima", sm.tsa.ARIMA(X[:, 0], order=(1, 0, 0)).fit())

import lightgbm
import xgboost

for name, model in {
    "xgb-classifier": xgboost.XGBClassifier(n_estimators=3),
    "xgb-regressor": xgboost.XGBRegressor(n_estimators=3),
    "lgbm-classifier": lightgbm.LGBMClassifier(n_estimators=3, verbose=-1),
    "lgbm-regressor": lightgbm.LGBMRegressor(n_estimators=3, verbose=-1),
}.items():
    save(name, model.fit(X, Y))
booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(X, Y), 3)
save("xgb-booster", booster)
booster.save_model(OUT / "xgb.json")
booster.save_model(OUT / "xgb.ubj")
lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 3).save_model(OUT / "lgbm.txt")
