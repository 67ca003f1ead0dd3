"""Claims and seals: digests, manifests, in-toto statements, DSSE envelopes, Sigstore bundles, signers and verifiers."""
