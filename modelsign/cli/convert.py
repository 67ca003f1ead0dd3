"""`modelsign convert`: a pickle checkpoint becomes safetensors, and nothing of it is executed."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import click

from modelsign.cli.options import TARGET, Verb, common, quiet, sandbox_option
from modelsign.cli.progress import progress_bar
from modelsign.conversion.converting import Converted, Options, convert_file, effective_target, target_in
from modelsign.conversion.directory import convert_directory, convert_to_shards
from modelsign.conversion.dtypes import DTYPES
from modelsign.conversion.output import DEFAULT_ALIGNMENT
from modelsign.conversion.record import Conversion, FileIdentity, LeftOut
from modelsign.conversion.sharding import size_of
from modelsign.conversion.tying import Tied
from modelsign.escape import json_document, plain
from modelsign.isolation import Sandbox
from modelsign.publish import making_parents, refuse_existing, replacing_file
from modelsign.regular import path_of

_LISTED = 20


@click.command(cls=Verb)
@click.argument("source", type=TARGET, metavar="SRC")
@click.argument("target", type=click.Path(path_type=str), metavar="[DST]", required=False)
@click.option("-o", "--output", "output", type=click.Path(path_type=str), metavar="DST", help="The same as DST.")
@click.option("--force", is_flag=True, help="Replace DST (and the record) if it exists.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the conversion record (JSON) for `modelsign attest --conversion`; hashes both files as wholes.",
)
@click.option(
    "--sidecar",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the plain data that was left out (numbers, text, lists) as JSON.",
)
@click.option(
    "--select",
    metavar="PATH",
    help='Take this part of the checkpoint ("ema.state_dict"); "." takes all of it. By default a wrapper is taken: '
    "state_dict, model_state_dict, model or module.",
)
@click.option(
    "--tied",
    type=click.Choice([tied.value for tied in Tied]),
    default=Tied.KEEP_ONE.value,
    show_default=True,
    help="Write tied weights once with aliases in the metadata, or each name in full.",
)
@click.option(
    "--align", type=int, default=DEFAULT_ALIGNMENT, show_default=True, metavar="N", help="Alignment of the data."
)
@click.option(
    "--max-shard-size",
    metavar="SIZE",
    help="Write shards of at most this size (5GB, 500MiB) and an index, into the directory DST.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="For a directory: leave out files whose relative name matches; may be repeated.",
)
@click.option("--no-verify", is_flag=True, help="Copy only: no checksums, no comparison, no tensor digests.")
@click.option("--digest", is_flag=True, help="Also hash both files as wholes.")
@click.option("--dtype-report", is_flag=True, help="Add a table of element types.")
@click.option("--dry-run", is_flag=True, help="Write nothing; list what would be written.")
@click.option("--json", "as_json", is_flag=True, help="Print the conversion record instead of a summary.")
@sandbox_option
@common
def convert(
    source: str,
    target: str | None,
    output: str | None,
    force: bool,
    record: Path | None,
    sidecar: Path | None,
    select: str | None,
    tied: str,
    align: int,
    max_shard_size: str | None,
    exclude: tuple[str, ...],
    no_verify: bool,
    digest: bool,
    dtype_report: bool,
    dry_run: bool,
    as_json: bool,
    sandbox: str,
) -> None:
    """Convert a checkpoint to safetensors without torch and without executing it.

    SRC is a checkpoint: torch.save (any version), TorchScript, numpy, and more. DST is by default beside it: m.pt gives
    m.safetensors, pytorch_model.bin gives model.safetensors. If SRC is a directory, its checkpoints are converted,
    shards and index included, the rest is copied, and no pickle reaches DST. What cannot be converted safely is refused
    with exit code 6, and nothing is left behind.
    """
    if target is not None and output is not None:
        raise click.UsageError("give the target once, as DST or with -o")
    if source == "-":
        raise click.UsageError("SRC -: a checkpoint is read from many places at once, so it needs a file; name one")
    for extra in (record, sidecar):
        if extra is not None and not dry_run:
            refuse_existing(extra, force=force)
    path = path_of(source)
    given = target or output
    if given == "-":
        raise click.UsageError("DST -: a conversion is read again and compared, so it needs a file; name one")
    destination = None if given is None else target_in(given, path, shards=max_shard_size is not None)
    if not dry_run:
        _refuse_overlap(path, destination, record, sidecar, one_file=max_shard_size is None and not path.is_dir())
    options = Options(
        force=force,
        select=select,
        tied=Tied(tied),
        align=align,
        verify=not no_verify,
        digest=digest or record is not None,
        dry_run=dry_run,
        with_values=sidecar is not None,
        sandbox=Sandbox(sandbox),
    )
    limit = None if max_shard_size is None else size_of(max_shard_size)
    if sidecar is not None and (limit is not None or path.is_dir()):
        raise click.UsageError("--sidecar is for one file that becomes one file")
    if exclude and not path.is_dir():
        raise click.UsageError("--exclude is for directories")
    with progress_bar("Converting", total=_size(path), quiet=quiet() or dry_run) as progress:
        done = _run(path, destination, replace(options, progress=progress), limit, exclude)
    if not dry_run:
        _write(record, done.conversion.to_json(), force=force)
        _write(sidecar, _sidecar(done), force=force)
    if as_json:
        sys.stdout.write(json_document(done.conversion.to_json().decode("ascii")))
    elif not quiet() or dry_run:
        click.echo("\n".join(_summary(done.conversion, dtype_report=dtype_report)))


def _run(path: Path, target: Path | None, options: Options, limit: int | None, exclude: Sequence[str]) -> Converted:
    if path.is_dir():
        conversion = convert_directory(path, target, options, max_shard_size=limit, exclude=exclude)
        return Converted(conversion=conversion, values={})
    if limit is not None:
        return Converted(conversion=convert_to_shards(path, target, options, max_shard_size=limit), values={})
    return convert_file(path, target, options)


def _refuse_overlap(
    source: Path, target: Path | None, record: Path | None, sidecar: Path | None, *, one_file: bool
) -> None:
    """Refuse what would replace the source by a description of it, or one output by another."""
    places = {}
    if one_file:
        places["the target"] = effective_target(source, target).resolve()
    elif target is not None:
        places["the target"] = target.resolve()
    for option, file in (("--record", record), ("--sidecar", sidecar)):
        if file is None:
            continue
        place = file.resolve()
        if place.is_relative_to(source.resolve()) or (file.exists() and source.exists() and file.samefile(source)):
            raise click.UsageError(f"{option} {file}: is the source, or lies in it; choose another file")
        for what, other in places.items():
            if place == other:
                raise click.UsageError(f"{option} {file}: is {what} as well; choose another file")
        places[option] = place


def _size(path: Path) -> int | None:
    """Return about how many bytes will be written, for the progress bar."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else None


def _write(path: Path | None, data: bytes, *, force: bool) -> None:
    if path is not None:
        with making_parents(path), replacing_file(path, force=force) as file:
            file.write(data)


def _sidecar(done: Converted) -> bytes:
    return (json.dumps(done.values, indent=1, sort_keys=True) + "\n").encode("ascii")


def _summary(conversion: Conversion, *, dtype_report: bool) -> list[str]:
    total = sum(file.size for file in conversion.targets)
    verb = "Converted" if conversion.written else "Would convert"
    source, target = (_named(files) for files in (conversion.sources, conversion.targets))
    lines = [
        f"{verb} {source} ({conversion.format}) to {target}: {len(conversion.tensors)} tensors, {total} bytes",
    ]
    if not conversion.written:
        lines += _table(conversion)
    if conversion.wrapper is not None:
        lines.append(f"Taken: {plain(conversion.wrapper)!r}" + ("" if conversion.left_out else " (all there is)"))
    lines += [f"Tied: {plain(name)} is {plain(kept)}" for name, kept in conversion.aliases[:_LISTED]]
    lines += _more(len(conversion.aliases))
    lines += [f"Left out: {_left_out(item)}" for item in conversion.left_out[:_LISTED]]
    lines += _more(len(conversion.left_out))
    lines += [f"Note: {plain(note)}" for note in conversion.notes]
    if dtype_report:
        lines += _types(conversion)
    lines.append(f"Needs safetensors {conversion.needs_safetensors} or later to load.")
    if conversion.written:
        compared = "output read again and compared byte by byte" if conversion.verified else "output not verified"
        lines.append(f"Nothing was executed; {compared}.")
    return lines


def _named(files: Sequence[FileIdentity]) -> str:
    return plain(files[0].name) if len(files) == 1 else f"{len(files)} files"


def _table(conversion: Conversion) -> list[str]:
    width = min(80, max((len(tensor.name) for tensor in conversion.tensors), default=0))
    several = len(conversion.targets) > 1
    lines = []
    for file, tensors in groupby(conversion.tensors, key=lambda tensor: tensor.file):
        lines += [f"{plain(file)}:"] if several else []
        lines += [f"  {plain(tensor.name):{width}}  {tensor.dtype:8} {list(tensor.shape)}" for tensor in tensors]
    return lines


def _left_out(item: LeftOut) -> str:
    below = [f"{count} {what}" for count, what in ((item.tensors, "tensors"), (item.values, "values")) if count]
    inside = f" with {' and '.join(below)}" if below and item.kind != "tensor" else ""
    return f"{plain(item.path)} ({plain(item.kind)}{inside})"


def _more(count: int) -> list[str]:
    return [f"  … and {count - _LISTED} more (--json lists all)"] if count > _LISTED else []


def _types(conversion: Conversion) -> list[str]:
    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for tensor in conversion.tensors:
        elements = 1
        for length in tensor.shape:
            elements *= length
        count[tensor.dtype] += 1
        size[tensor.dtype] += DTYPES[tensor.dtype].bytes_of(elements)
    return [f"Type {dtype:12} {count[dtype]:8} tensors {size[dtype]:16} bytes" for dtype in sorted(count)]
