"""Every estimator of scikit-learn, fitted on tiny data, as pickle and as joblib; pipelines, searches, compressors."""

import pickle
import warnings

import joblib
import numpy as np
from saving import OUT, save
from sklearn import ensemble, linear_model, pipeline, preprocessing, svm, tree
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.utils import all_estimators

warnings.simplefilter("ignore")
RANDOM = np.random.default_rng(0)
X = np.abs(RANDOM.normal(size=(24, 4)))
Y = (X[:, 0] > np.median(X[:, 0])).astype(int)
MULTI = np.stack([Y, 1 - Y], axis=1)
TEXTS = ["a small model", "a large model", "weights and biases", "tokens and text"] * 6
PARTS = {"estimator": tree.DecisionTreeClassifier(max_depth=2), "estimators": [("a", tree.DecisionTreeClassifier())]}


def build(name, kind):
    """Construct an estimator with the least it needs."""
    needs = {
        "ColumnTransformer": {"transformers": [("scale", preprocessing.StandardScaler(), [0, 1])]},
        "FeatureUnion": {"transformer_list": [("scale", preprocessing.StandardScaler())]},
        "Pipeline": {"steps": [("scale", preprocessing.StandardScaler()), ("model", linear_model.LogisticRegression())]},
        "GridSearchCV": {"estimator": tree.DecisionTreeClassifier(), "param_grid": {"max_depth": [1, 2]}, "cv": 2},
        "RandomizedSearchCV": {"estimator": tree.DecisionTreeClassifier(), "param_distributions": {"max_depth": [1, 2]}, "n_iter": 2, "cv": 2},
        "SparseCoder": {"dictionary": np.eye(4)},
        "StackingRegressor": {"estimators": [("a", tree.DecisionTreeRegressor())], "cv": 2},
        "VotingRegressor": {"estimators": [("a", tree.DecisionTreeRegressor())]},
        "StackingClassifier": {"estimators": [("a", tree.DecisionTreeClassifier())], "cv": 2},
        "VotingClassifier": {"estimators": [("a", tree.DecisionTreeClassifier())]},
        "RegressorChain": {"estimator": tree.DecisionTreeRegressor()},
        "MultiOutputRegressor": {"estimator": tree.DecisionTreeRegressor()},
    }  # fmt: skip
    if name in needs:
        return kind(**needs[name])
    try:
        return kind()
    except TypeError:
        return kind(PARTS["estimator"])


def fit(estimator, name):
    """Fit on whichever tiny data the estimator takes."""
    for arguments in ((X, Y), (X, MULTI), (X,), (TEXTS,), (TEXTS, Y), (X[:, 0], Y), (MULTI,), ([{"a": 1}, {"b": 2}],)):
        try:
            return estimator.fit(*arguments)
        except Exception:  # noqa: BLE001, S112 - any estimator may refuse any data, the next data may do
            continue
    print(f"not fitted: {name}")
    return estimator


for name, kind in all_estimators():
    try:
        save(name, fit(build(name, kind), name))
    except Exception as error:  # noqa: BLE001 - an estimator that cannot be pickled is no file to scan
        print(f"not saved: {name}: {error}")

scaled = pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC(probability=False)).fit(X, Y)
save("pipeline-svc", scaled)
save("pipeline-text", pipeline.make_pipeline(TfidfVectorizer(), linear_model.LogisticRegression()).fit(TEXTS, Y))
columns = ColumnTransformer([("n", preprocessing.MinMaxScaler(), [0, 1]), ("k", "passthrough", [2, 3])])
save("pipeline-columns", pipeline.make_pipeline(columns, ensemble.RandomForestClassifier(5)).fit(X, Y))
save("grid", GridSearchCV(svm.SVC(), {"C": [0.1, 1.0], "kernel": ["rbf", "linear"]}, cv=2).fit(X, Y))
save("random-search", RandomizedSearchCV(tree.DecisionTreeClassifier(), {"max_depth": [1, 2, 3]}, n_iter=2, cv=2).fit(X, Y))
save("vectorizer", CountVectorizer(stop_words="english").fit(TEXTS))
forest = ensemble.RandomForestClassifier(20).fit(X, Y)
for protocol in range(2, 6):
    (OUT / f"forest-protocol{protocol}.pkl").write_bytes(pickle.dumps(forest, protocol=protocol))
for compress in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
    joblib.dump(forest, OUT / f"forest-{compress}.joblib", compress=(compress, 3))
