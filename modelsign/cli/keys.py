"""`modelsign keys`: make a local key pair to start with, and show what a key is called."""

import os
import sys
from pathlib import Path

import click

from attestations.algorithms import describe, key_hint, public_pem
from attestations.key_files import generate as generate_key
from attestations.key_files import load_private, load_public, private_pem, read_key_file
from modelsign.cli.options import Verb, common
from modelsign.cli.signer import PASSPHRASE_VARIABLE, passphrase_for
from modelsign.errors import UsageError
from modelsign.escape import plain
from modelsign.publish import refuse_existing, replacing_file

_MIN_PASSPHRASE = 8


@click.group()
def keys() -> None:
    """Make a local key pair to start with."""


@keys.command(cls=Verb)
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where to write modelsign.key and modelsign.pub; by default here.",
)
@click.option("--name", default="modelsign", show_default=True, help="Base name of the two files.")
@click.option("--no-passphrase", is_flag=True, help="Leave the private key unencrypted (for tests and vaults).")
@click.option("--force", is_flag=True, help="Replace existing key files.")
@common
def generate(directory: Path, name: str, no_passphrase: bool, force: bool) -> None:
    """Make an ECDSA P-256 key pair: NAME.key (secret, encrypted with scrypt) and NAME.pub (give it away)."""
    if not name or name != Path(name).name or name.startswith("."):
        raise UsageError(f"{name!r} is not a base name for key files")
    if not directory.is_dir():
        raise UsageError(f"{directory}: there is no such directory")
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    for path in (private, public):
        refuse_existing(path, force=force, what="key")
    passphrase = None if no_passphrase else _new_passphrase()
    key = generate_key()
    with replacing_file(private, force=force, mode=0o600) as file:
        file.write(private_pem(key, passphrase))
    with replacing_file(public, force=force, mode=0o644) as file:
        file.write(public_pem(key.public_key()))
    click.echo(
        plain(f"Wrote {private} (keep it secret) and {public} (readers verify with it)") + "\n"
        f"  key        {key_hint(key.public_key())}"
    )
    if passphrase is None:
        click.echo("modelsign: the private key is not encrypted; whoever reads the file can sign as you", err=True)


@keys.command(cls=Verb)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, readable=False))
@common
def show(file: Path) -> None:
    """Print algorithm and fingerprint of a key, as signatures name it."""
    pem = read_key_file(file)
    if b"PRIVATE KEY" in pem:
        key = load_private(pem, passphrase_for(file), str(file)).public_key()
    else:
        key = load_public(pem, str(file))
    click.echo(f"{key_hint(key)}  {describe(key)}")


def _new_passphrase() -> bytes:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None:
        if not sys.stdin.isatty():
            raise UsageError(
                f"a key needs a passphrase: set {PASSPHRASE_VARIABLE}, run this at a terminal, or say --no-passphrase"
            )
        given = click.prompt("Passphrase for the new key", hide_input=True, confirmation_prompt=True, err=True)
    if len(given) < _MIN_PASSPHRASE:
        raise UsageError(f"a passphrase of fewer than {_MIN_PASSPHRASE} characters protects nothing")
    return given.encode()
