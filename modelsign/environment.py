"""Facts about a run that are no facts about the target: time, machine, isolation. Only where a user asks for them."""

from datetime import UTC, datetime

from modelsign.isolation import Sandbox, active_layers


def environment(started: datetime, sandbox: Sandbox) -> dict[str, object]:
    """Return what the report says about the run that began at ``started``."""
    import platform

    return {
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "sandbox": list(active_layers(sandbox)),
    }
