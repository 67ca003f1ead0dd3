"""`--instance URL`: a Sigstore instance by the address of its TUF repository, for signing and for verifying."""

from pathlib import Path

from modelsign.errors import UsageError


def check_instance(instance: str | None, root: Path | None) -> None:
    """Refuse an instance that is no address, and its root without it.

    Raises:
        UsageError: so it is.
    """
    if instance is None:
        if root is not None:
            raise UsageError("--instance-root goes with --instance URL")
        return
    if not instance.startswith(("https://", "http://")):
        raise UsageError(f"--instance {instance}: give the https address of the instance's TUF repository")
