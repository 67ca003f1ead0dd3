"""Objects as files, the two usual ways; the makers beside this file import it."""

import pickle
import sys
from pathlib import Path

import joblib

OUT = Path(sys.argv[1])


def save(name, value):
    """Write a value as pickle and as joblib."""
    (OUT / f"{name}.pkl").write_bytes(pickle.dumps(value))
    joblib.dump(value, OUT / f"{name}.joblib")


def save_if_made(name, make):
    """Write what ``make`` returns; what cannot be made or pickled is no file to scan."""
    try:
        save(name, make())
    except Exception as error:  # noqa: BLE001
        print(f"not saved: {name}: {error!r}"[:300])
