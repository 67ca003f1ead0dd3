"""`modelsign digest`: the root digest and the manifest of a model, as a signature would name them."""

import json

import click

from attestations.digest import HASH_TYPES
from attestations.manifest import FILES, SHARDS, Manifest, measure
from modelsign.cli.hashing import hashing_bar
from modelsign.cli.options import TARGET, Verb, common, reporting
from modelsign.cli.output import Output, Style
from modelsign.errors import SourceError
from modelsign.escape import plain
from modelsign.regular import path_of
from modelsign.signing import names_left_out


@click.command(cls=Verb)
@click.argument("target", type=TARGET)
@click.option("--ignore", multiple=True, metavar="PATTERN", help="As for `modelsign sign`; may be repeated.")
@click.option("--hash", "hash_type", type=click.Choice(HASH_TYPES), default="sha256", show_default=True)
@click.option("--method", type=click.Choice([FILES, SHARDS]), default=FILES, show_default=True)
@click.option("--shard-size", type=click.IntRange(min=4096), metavar="BYTES", help="For --method shards.")
@click.option("--allow-symlinks", is_flag=True, help="Follow links that stay inside the model.")
@reporting("human", "json")
@common
def digest(
    target: str,
    ignore: tuple[str, ...],
    hash_type: str,
    method: str,
    shard_size: int | None,
    allow_symlinks: bool,
    output: Output,
) -> None:
    """Print the root digest and the manifest of a model.

    TARGET is a directory, or a model that is one file. With -q only the root digest is printed.
    """
    output.spare([target])
    model = path_of(target)
    if not model.exists():
        raise SourceError(f"{model}: there is no such file or directory")
    with hashing_bar(model, allow_symlinks=allow_symlinks) as progress:
        manifest = measure(
            model,
            ignored=names_left_out(model, ignore),
            hash_type=hash_type,
            method=method,
            shard_size=shard_size,
            allow_symlinks=allow_symlinks,
            progress=progress,
        )
    output.publish(lambda form, style: _json(manifest) if form == "json" else _human(manifest, style))


def _json(manifest: Manifest) -> str:
    root = manifest.root
    document = {
        "schema": "modelsign.manifest/v1",
        "root": {root.algorithm: root.hex},
        "method": manifest.method,
        "hash_type": manifest.hash_type,
        "shard_size": manifest.shard_size,
        "ignored": list(manifest.ignored),
        "left_out": list(manifest.unsigned),
        "resources": [
            {
                "name": entry.resource,
                "algorithm": entry.digest.algorithm,
                "digest": entry.digest.hex,
                "size": entry.size,
            }
            for entry in manifest.entries
        ],
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _human(manifest: Manifest, style: Style) -> str:
    root = f"{manifest.root}\n"
    if style.quiet:
        return root
    width = len(str(max(entry.size or 0 for entry in manifest.entries)))
    lines = (f"{entry.digest.hex}  {entry.size:>{width}}  {plain(entry.resource)}\n" for entry in manifest.entries)
    return root + "".join(lines)
