"""`modelsign sign`: hash a model once and seal its manifest (OpenSSF Model Signing)."""

import json
from pathlib import Path

import click

from attestations.bundle import Bundle
from attestations.digest import HASH_TYPES
from attestations.manifest import FILES, SHARDS, SINGLE_FILE
from modelsign.cli.hashing import hashing_bar
from modelsign.cli.options import TARGET, Verb, common, reporting
from modelsign.cli.output import Output, Style
from modelsign.cli.signer import SignerChoice, signer_options
from modelsign.escape import plain
from modelsign.signing import Signed, refuse_target
from modelsign.signing import sign as sign_model
from modelsign.sizes import human_size


@click.command(cls=Verb)
@click.argument("target", type=TARGET)
@signer_options
@click.option(
    "--signature",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="FILE",
    help="Write the signature to FILE instead of model.sig in the model (or NAME.sig beside a file).",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATTERN",
    help="A name or pattern, relative to the model's root, that is not part of the model; may be repeated.",
)
@click.option("--hash", "hash_type", type=click.Choice(HASH_TYPES), default="sha256", show_default=True)
@click.option("--method", type=click.Choice([FILES, SHARDS]), default=FILES, show_default=True)
@click.option("--shard-size", type=click.IntRange(min=4096), metavar="BYTES", help="For --method shards.")
@click.option("--allow-symlinks", is_flag=True, help="Follow links that stay inside the model.")
@click.option(
    "--single-file-name",
    type=click.Choice([SINGLE_FILE, "basename"]),
    default=SINGLE_FILE,
    show_default=True,
    help="How a model that is one file is named: as model-signing reads it, or as the specification has it.",
)
@click.option(
    "--reuse",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="OLD.sig",
    help="Do not read files again that have not changed since this signature was made here (inode, size, times).",
)
@click.option("--force", is_flag=True, help="Replace an existing signature.")
@reporting("human", "json")
@common
def sign(
    target: str,
    signer: SignerChoice,
    signature: Path | None,
    ignore: tuple[str, ...],
    hash_type: str,
    method: str,
    shard_size: int | None,
    allow_symlinks: bool,
    single_file_name: str,
    reuse: Path | None,
    force: bool,
    output: Output,
) -> None:
    """Sign a model (OpenSSF Model Signing v1.0).

    TARGET is a directory, or a model that is one file. Other tools read the default hash and method.
    """
    output.spare([target])
    # Refused before a passphrase is asked for or an identity becomes public.
    refuse_target(target, signature, force=force)
    sealer = signer.make()
    with hashing_bar(Path(target), allow_symlinks=allow_symlinks) as progress:
        signed = sign_model(
            target,
            signer=sealer,
            signature=signature,
            ignore=ignore,
            hash_type=hash_type,
            method=method,
            shard_size=shard_size,
            allow_symlinks=allow_symlinks,
            single_file_name=single_file_name,
            reuse=reuse,
            force=force,
            progress=progress,
        )
    output.publish(lambda form, style: _json(signed) if form == "json" else _human(target, signed, style))


def _json(signed: Signed) -> str:
    manifest = signed.manifest
    document = {
        "schema": "modelsign.signed/v1",
        "signature": signed.signature.name,
        "material": signed.bundle.material.value,
        "key_hint": signed.bundle.key_hint or None,
        "root": {signed.root.algorithm: signed.root.hex},
        "method": manifest.method,
        "hash_type": manifest.hash_type,
        "files": len(manifest.files()),
        "bytes": manifest.size,
        "ignored": list(manifest.ignored),
        "left_out": list(manifest.unsigned),
        "notes": list(signed.notes),
        "reused": signed.reused,
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _human(target: str, signed: Signed, style: Style) -> str:
    manifest = signed.manifest
    lines = []
    if not style.quiet:
        files = len(manifest.files())
        lines = [
            f"Signed {target}: {files} file{'' if files == 1 else 's'}, {human_size(manifest.size)}",
            f"  signature  {signed.signature}",
            f"  by         {_signer(signed.bundle)}",
            f"  root       {signed.root}",
        ]
        if signed.reused:
            lines.append(f"  not read   {signed.reused} of them: inode, size and times are as when signed before")
        if manifest.unsigned:
            lines.append(f"  left out   {_names(manifest.unsigned)}")
    lines += [f"  note       {note}" for note in signed.notes]
    return "".join(f"{plain(line)}\n" for line in lines)


def _signer(bundle: Bundle) -> str:
    if bundle.key_hint:
        return f"key {bundle.key_hint}"
    from attestations.signers.certificate_names import issuer_of, load_certificate, subject_names

    certificate = load_certificate(bundle.certificates[0])
    names = subject_names(certificate) or (certificate.subject.rfc4514_string(),)
    issuer = issuer_of(certificate) or certificate.issuer.rfc4514_string()
    return f"{', '.join(names)} (issuer {issuer})"


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
