"""Tell whether a model may be loaded, and make that answer provable.

The five verbs, typed and lazily loaded:

    >>> import modelsign
    >>> report = modelsign.scan("model/")
    >>> modelsign.convert("model/pytorch_model.bin", "out/model.safetensors")
    >>> modelsign.sign("out/", key="modelsign.key")
    >>> modelsign.attest("out/", key="modelsign.key", scan=True)
    >>> decision = modelsign.verify("out/", keys=["modelsign.pub"])

Nothing here prints, exits, or executes what it reads.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from modelsign.version import __version__

if TYPE_CHECKING:
    from modelsign.attesting import attest
    from modelsign.conversion import Conversion, convert
    from modelsign.policy.decision import Decision, Reason
    from modelsign.scanning import scan
    from modelsign.signing import sign
    from modelsign.verification import verify
    from scanners.findings import Finding, Report, Verdict

__all__ = [
    "Conversion",
    "Decision",
    "Finding",
    "Reason",
    "Report",
    "Verdict",
    "__version__",
    "attest",
    "convert",
    "scan",
    "sign",
    "verify",
]

_HOMES = {
    "Conversion": "modelsign.conversion",
    "Decision": "modelsign.policy.decision",
    "Finding": "scanners.findings",
    "Reason": "modelsign.policy.decision",
    "Report": "scanners.findings",
    "Verdict": "scanners.findings",
    "attest": "modelsign.attesting",
    "convert": "modelsign.conversion",
    "scan": "modelsign.scanning",
    "sign": "modelsign.signing",
    "verify": "modelsign.verification",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'modelsign' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


def _refuse_foreign_packages() -> None:
    """Raise ImportError when `scanners` or `attestations`, generic names, would come from somebody else's directory."""
    here = Path(__file__).resolve().parent.parent
    for name in ("scanners", "attestations"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin is None or origin.parent.parent != here:
            raise ImportError(
                f"modelsign needs its own package {name!r} from {here}, but Python would import {origin or 'nothing'}. "
                "Run the console script `modelsign` or `python -P -m modelsign` from another directory."
            )


_refuse_foreign_packages()
