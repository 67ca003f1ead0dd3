"""What was asked of a verification, resolved: paths, names, whom to trust."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from attestations.manifest import Manifest
from modelsign.isolation import Sandbox
from modelsign.policy.decision import Level
from modelsign.policy.rules import ModelRules, Policy
from modelsign.policy.trust import Verifiers
from scanners.records import dataclass

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One verification."""

    model: Path
    signature: Path
    claims: Path
    cosignatures: tuple[Path, ...]
    """further signatures of the same model"""
    ignored: tuple[str, ...]
    """names, resolved"""
    partial: tuple[str, ...]
    every: bool
    scan: bool
    sandbox: Sandbox
    legacy: bool
    """whether signatures of model-signing v0.2.0 are read"""
    allow_incomplete: bool
    allow_unsigned: bool
    allow_symlinks: bool
    claimed: Manifest | None
    """digests claimed by others, to use instead of measuring"""
    accept_claimed: bool
    policy: Policy | None
    verifiers: Verifiers
    progress: Progress | None
    now: datetime

    @property
    def name(self) -> str:
        """What the model is called, without the directories above it."""
        return self.model.name or self.model.resolve().name

    @property
    def rules(self) -> ModelRules:
        """What may lie in the model: as the policy says, or as the caller does where there is no policy."""
        if self.policy is not None:
            return self.policy.model
        return ModelRules(
            unsigned_files=Level.WARN if self.allow_unsigned else Level.DENY,
            symlinks=Level.WARN if self.allow_symlinks else Level.DENY,
        )
