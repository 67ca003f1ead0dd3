"""A Sigstore instance on 127.0.0.1: OIDC provider, Fulcio with a certificate log key, Rekor v1 and v2, RFC 3161 clock.

A test double, for keyless tests on a closed machine: clients speak to it over real HTTP with real cryptography. It is
kept honest by `tests/test_sigstore_stack_*.py`, which verify real bundles of the staging instance with the same code
and compare what both produce.
"""
