"""A TUF repository that publishes an instance's roots and services, as Sigstore's own does.

Spec: TUF 1.0.31, with consistent snapshots. One key signs every role, which real repositories would not do.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # re-exported without saying so
from tuf.api.metadata import (  # type: ignore[attr-defined]  # tuf does not declare what it re-exports here
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from tests.sigstore_stack.authority import now
from tests.sigstore_stack.service import Refusal, Request, Response, Service

ROLES = (Root.type, Timestamp.type, Snapshot.type, Targets.type)


class TufRepository(Service):
    """Serves what was last published; `published` is what lies below its address, for a test to spoil.

    `lifetime` is that of the metadata published next.
    """

    def __init__(self, *, lifetime: timedelta = timedelta(days=1)) -> None:
        super().__init__(self._answer)
        self.key = CryptoSigner.generate_ed25519()
        self.published: dict[str, bytes] = {}
        self.lifetime = lifetime
        self._version = 0
        root = Root(expires=now() + lifetime, consistent_snapshot=True)
        for role in ROLES:
            root.add_key(self.key.public_key, role)
        self.root = self._signed(root)
        self.published["1.root.json"] = self.root

    def publish(self, trust_config: dict[str, Any]) -> None:
        """Publish the two parts of a ClientTrustConfig as the next version of the targets."""
        self._version += 1
        targets = Targets(version=self._version, expires=now() + self.lifetime)
        for name, part in (("trusted_root.json", "trustedRoot"), ("signing_config.v0.2.json", "signingConfig")):
            if part not in trust_config:
                continue
            data = json.dumps(trust_config[part]).encode()
            target = TargetFile.from_data(name, data)
            targets.targets[name] = target
            self.published[f"targets/{target.hashes['sha256']}.{name}"] = data
        snapshot = Snapshot(version=self._version, expires=now() + self.lifetime)
        snapshot.meta["targets.json"] = MetaFile(version=self._version)
        timestamp = Timestamp(version=self._version, expires=now() + self.lifetime)
        timestamp.snapshot_meta = MetaFile(version=self._version)
        self.published[f"{self._version}.targets.json"] = self._signed(targets)
        self.published[f"{self._version}.snapshot.json"] = self._signed(snapshot)
        self.published["timestamp.json"] = self._signed(timestamp)

    def write_root(self, path: Path) -> Path:
        """Write the first root, which users of the instance get by another way."""
        path.write_bytes(self.root)
        return path

    def _signed(self, role: Root | Timestamp | Snapshot | Targets) -> bytes:
        metadata = Metadata[Any](role)
        metadata.sign(self.key)
        return metadata.to_bytes()

    def _answer(self, request: Request) -> Response:
        data = self.published.get(request.path.lstrip("/"))
        if request.method != "GET" or data is None:
            raise Refusal(404, request.path)
        return Response(body=data)
