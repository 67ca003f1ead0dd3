#!/usr/bin/env python3
"""The adapter that the OMS conformance suite drives: its command line in, ours out.

Protocol: sampras343/model-signing-conformance docs/conformance_adapter_cli_protocol.md. The suite knows neither pins
nor switches, so what its cases take for granted is said here: anybody under the given root, releases before 1.0, no
scan.
A Sigstore instance other than public good is chosen by `OMS_TRUST_CONFIG`, the path of a client trust configuration.

Run the suite with ``pytest test/ --entrypoint=tests/interop/oms_adapter.py``.
"""

import argparse
import os
import sys
from pathlib import Path

from modelsign.cli.main import invoke


def main(arguments: list[str]) -> int:
    """Do what one call of the suite asks for and return the exit code."""
    options = _parser().parse_args(arguments)
    return invoke(_sign(options) if options.command == "sign-model" else _verify(options))


def _sign(options: argparse.Namespace) -> list[str]:
    command = [
        "sign",
        str(options.model_path),
        "--signature",
        str(options.output_bundle),
        "--force",
        *_ignored(options),
    ]
    if options.method == "sigstore":
        os.environ["MODELSIGN_IDENTITY_TOKEN"] = options.identity_token or os.environ.get("SIGSTORE_ID_TOKEN", "")
        return [*command, "--keyless", "--yes", *_instance(options)]
    command += ["--key", str(options.private_key)]
    if options.method == "certificate":
        command += ["--signing-certificate", str(options.signing_cert)]
        command += [word for path in options.cert_chain for word in ("--certificate-chain", str(path))]
    return command


def _verify(options: argparse.Namespace) -> list[str]:
    command = ["verify", str(options.model_path), "--signature", str(options.bundle), "--no-scan", "--legacy"]
    command += _ignored(options)
    if options.ignore_unsigned_files:
        command.append("--ignore-unsigned-files")
    if options.method == "sigstore":
        command += ["--identity", options.identity, "--issuer", options.identity_provider, *_instance(options)]
    elif options.method == "certificate":
        command += [word for path in options.cert_chain for word in ("--certificate-chain", str(path))]
        command.append("--any-subject")
    else:
        command += ["--key", str(options.public_key)]
    return command


def _ignored(options: argparse.Namespace) -> list[str]:
    """Return the suite's absolute paths as names relative to the model."""
    root = options.model_path if options.model_path.is_dir() else options.model_path.parent
    inside = (path.relative_to(root).as_posix() for path in options.ignore_paths if path.is_relative_to(root))
    return [word for name in inside for word in ("--ignore", name)] if options.model_path.is_dir() else []


def _instance(options: argparse.Namespace) -> list[str]:
    config = os.environ.get("OMS_TRUST_CONFIG")
    if config:
        return ["--trust-config", config]
    return ["--staging"] if options.use_staging else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Adapter for the OMS conformance suite.")
    commands = parser.add_subparsers(dest="command", required=True)
    sign, verify = commands.add_parser("sign-model"), commands.add_parser("verify-model")
    for command in (sign, verify):
        command.add_argument("--method", choices=["key", "certificate", "sigstore"], required=True)
        command.add_argument("--model-path", type=Path, required=True)
        command.add_argument("--cert-chain", type=Path, action="append", default=[])
        command.add_argument("--ignore-paths", type=Path, action="append", default=[])
        command.add_argument("--use-staging", action="store_true")
    sign.add_argument("--output-bundle", type=Path, required=True)
    sign.add_argument("--private-key", type=Path)
    sign.add_argument("--signing-cert", type=Path)
    sign.add_argument("--identity-token")
    verify.add_argument("--bundle", type=Path, required=True)
    verify.add_argument("--public-key", type=Path)
    verify.add_argument("--identity")
    verify.add_argument("--identity-provider")
    verify.add_argument("--ignore-unsigned-files", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
