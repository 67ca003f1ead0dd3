"""A signer that is made when it is first needed, and let go when it is done.

Parsers run in forked workers, and a fork begins with the memory of its parent: a private key that was loaded before a
scan would lie in the worker that reads hostile bytes. So whoever scans and signs gives one of these: the key comes
after the scan, and goes before the next one.
"""

from collections.abc import Callable

from attestations.bundle import Bundle
from attestations.errors import IdentityMismatch
from attestations.statement import Statement
from attestations.verify import Proof, Signer, Verifier


class LateSigner:
    """Signs with what ``make`` returns; asks for it at the first signature, and again after `let_go`."""

    def __init__(self, make: Callable[[], Signer], *, verifier_of: Callable[[Signer], Verifier] | None = None) -> None:
        """Take what makes the signer.

        Args:
            make: called when there is something to sign.
            verifier_of: what verifies the signatures of that signer, made of its public half.
        """
        self._make = make
        self._verifier_of = verifier_of
        self._signer: Signer | None = None
        self.verifier: Verifier | None = None
        """for what has been signed; None before"""

    def sign(self, statement: Statement) -> Bundle:
        """Return the statement in a bundle."""
        if self._signer is None:
            self._signer = self._make()
            if self._verifier_of is not None:
                self.verifier = self._verifier_of(self._signer)
        return self._signer.sign(statement)

    def let_go(self) -> None:
        """Forget the signer."""
        self._signer = None


class LateVerifier:
    """Accepts what a `LateSigner` has signed."""

    def __init__(self, signer: LateSigner) -> None:
        """Take the signer; it need not have signed yet."""
        self._signer = signer

    def handles(self, bundle: Bundle) -> bool:
        return self._signer.verifier is not None and self._signer.verifier.handles(bundle)

    def verify(self, bundle: Bundle) -> Proof:
        if self._signer.verifier is None:
            raise IdentityMismatch("nothing has been signed yet, so nobody is trusted")
        return self._signer.verifier.verify(bundle)
