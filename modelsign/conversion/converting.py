"""`convert`: one checkpoint becomes one safetensors file, and nothing of it is executed on the way."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from modelsign.conversion.copying import Copier, hash_file
from modelsign.conversion.dtypes import needed_version
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.origins import settle
from modelsign.conversion.output import DEFAULT_ALIGNMENT, check_alignment, lay_out
from modelsign.conversion.parsing import parse
from modelsign.conversion.plan import Json, Plan, PlannedTensor
from modelsign.conversion.record import Conversion, FileIdentity, TensorRecord
from modelsign.conversion.refusals import KINDS
from modelsign.conversion.sharding import size_of
from modelsign.conversion.tying import Tied, untied
from modelsign.errors import ConversionError, SourceError, UsageError
from modelsign.isolation import RefusedError, Sandbox, WorkerError, ask
from modelsign.publish import making_parents, refuse_existing, replacing_file, scratch_file
from modelsign.regular import path_of

SUFFIX = ".safetensors"
_CHECKPOINT_STEM = "pytorch_model"
_PART = ".distcp"
"""suffix of parts of distributed checkpoints: archives of lone tensors, one behind the other"""
CHANGED = "the file changed while it was converted; nothing was kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to convert."""

    force: bool = False
    select: str | None = None
    tied: Tied = Tied.KEEP_ONE
    align: int = DEFAULT_ALIGNMENT
    verify: bool = True
    digest: bool = False
    dry_run: bool = False
    with_values: bool = False
    sandbox: Sandbox = Sandbox.AUTO
    progress: Callable[[int], None] | None = field(default=None, compare=False)


def convert(
    source: str | Path,
    target: str | Path | None = None,
    *,
    force: bool = False,
    select: str | None = None,
    tied: str = "keep-one",
    align: int = DEFAULT_ALIGNMENT,
    verify: bool = True,
    digest: bool = False,
    dry_run: bool = False,
    max_shard_size: int | str | None = None,
    exclude: Sequence[str] = (),
    sandbox: Sandbox = Sandbox.AUTO,
    progress: Callable[[int], None] | None = None,
) -> Conversion:
    """Convert a checkpoint to safetensors without torch and without executing anything.

    Args:
        source: a checkpoint file, or a directory: then its checkpoints are converted and the rest is copied.
        target: the safetensors file to write; by default beside the source (`m.pt` -> `m.safetensors`,
            `pytorch_model.bin` -> `model.safetensors`); a directory, or text with a slash at its end, gets a file of
            that name. For a directory or shards, the directory to write. What is missing above it is made.
        force: replace an existing target.
        select: dotted path of the part of the checkpoint to take, "." for all of it. By default a wrapper
            (`state_dict`, `model_state_dict`, `model`, `module`) is taken where there is one.
        tied: `keep-one` writes tied weights once, with aliases in the metadata; `duplicate` writes each name in full.
        align: alignment of the data, a power of two.
        verify: read the output again and compare it with the source byte by byte; also checks the source's checksums
            and hashes every tensor. Turned off, it copies as `cp` does: nothing is checked, nor flushed to the disk.
        digest: also hash both files as wholes.
        dry_run: write nothing, return what would be written.
        max_shard_size: write shards of at most this size (bytes, or text such as "5GB") and an index, into a directory.
        exclude: for a directory, patterns of relative names to leave out.
        sandbox: which layers of isolation the parser gets.
        progress: told how many further bytes of the output are done.

    Returns:
        What was done.

    Raises:
        ConversionError: the checkpoint cannot be converted safely; nothing is left behind.
        UsageError: the target exists, or an option makes no sense.
        SourceError: a file cannot be read or written.
    """
    options = Options(
        force=force,
        select=select,
        tied=_tied(tied),
        align=align,
        verify=verify,
        digest=digest,
        dry_run=dry_run,
        sandbox=sandbox,
        progress=progress,
    )
    source = path_of(source)
    target = None if target is None else target_in(target, source, shards=max_shard_size is not None)
    limit = size_of(max_shard_size) if isinstance(max_shard_size, str) else max_shard_size
    if source.is_dir() or limit is not None:
        from modelsign.conversion.directory import convert_directory, convert_to_shards

        if source.is_dir():
            return convert_directory(source, target, options, max_shard_size=limit, exclude=exclude)
        assert limit is not None
        return convert_to_shards(source, target, options, max_shard_size=limit)
    return convert_file(source, target, options).conversion


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A conversion and the plain data that was left out."""

    conversion: Conversion
    values: dict[str, Json]


def convert_file(source: Path, target: Path | None, options: Options) -> Converted:
    """Convert one file. See `convert`."""
    check_alignment(options.align)
    target = effective_target(source, target)
    with ExitStack() as stack:
        descriptor, before = open_source(source)
        stack.callback(os.close, descriptor)
        if not options.dry_run:
            refuse_existing(target, force=options.force)
            _refuse_same(source, target, before)
        plan = plan_of(descriptor, source, options)
        tensors, aliases = untied(plan.tensors, options.tied)
        layout = lay_out(tensors, metadata={**aliases, "format": "pt"}, align=options.align)
        if options.dry_run:
            conversion = _conversion(
                plan,
                layout.order,
                aliases,
                source=FileIdentity(name=source.name, size=before.st_size),
                target=FileIdentity(name=target.name, size=layout.size),
                sha256={},
                options=options,
            )
            return Converted(conversion=conversion, values=dict(plan.values))
        stack.enter_context(making_parents(target))
        scratch = stack.enter_context(scratch_file(target.parent))
        with named(source), writing(target):
            origins = settle(plan, descriptor, scratch)
            with replacing_file(target, force=options.force, durable=options.verify) as file:
                copier = Copier(
                    source=descriptor if options.digest else None,
                    target=file.fileno(),
                    layout=layout,
                    origins=origins,
                    progress=options.progress,
                )
                written = copier.run(verify=options.verify)
                if changed(before, os.fstat(descriptor)):
                    raise ConversionError(CHANGED)
                target_sha256 = hash_file(file.fileno()) if options.digest else None
    conversion = _conversion(
        plan,
        layout.order,
        aliases,
        source=FileIdentity(name=source.name, size=before.st_size, sha256=written.source_sha256),
        target=FileIdentity(name=target.name, size=layout.size, sha256=target_sha256),
        sha256=written.sha256,
        options=options,
    )
    return Converted(conversion=conversion, values=dict(plan.values))


def default_target(source: Path) -> Path:
    """Return where a conversion goes: `m.pt` -> `m.safetensors`, `pytorch_model.bin` -> `model.safetensors`."""
    stem = source.stem if source.suffix else source.name
    if stem == _CHECKPOINT_STEM or stem.startswith((f"{_CHECKPOINT_STEM}-", f"{_CHECKPOINT_STEM}.")):
        stem = "model" + stem.removeprefix(_CHECKPOINT_STEM)
    return source.with_name(stem + SUFFIX)


def effective_target(source: Path, target: Path | None) -> Path:
    """Return the file that a checkpoint becomes: where nothing, or a directory, was given, by its own name."""
    if target is None:
        return default_target(source)
    return target / default_target(source).name if target.is_dir() else target


def target_in(target: str | Path, source: Path, *, shards: bool) -> Path:
    """Return a target as a path: with a slash at its end it is a directory, also where there is none yet."""
    path = path_of(target)
    if str(target).endswith(os.sep) and not shards and not source.is_dir():
        return path / default_target(source).name
    return path


def open_source(source: Path) -> tuple[int, os.stat_result]:
    """Open a regular file for reading.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SourceError(f"{source}: cannot be read: {error.strerror}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SourceError(f"{source}: is not a regular file")
    return descriptor, status


def plan_of(descriptor: int, source: Path, options: Options) -> Plan:
    """Parse a source in a worker without rights; its errors name it."""
    if source.suffix.lower() == _PART:
        raise ConversionError(
            f"{source}: is a part of a checkpoint of torch.distributed, whose tensors are named in another file; join "
            "the parts where they are trusted (torch.distributed.checkpoint.format_utils.dcp_to_torch_save), and "
            "convert the result"
        )
    request = Request(select=options.select, with_values=options.with_values)
    size = os.fstat(descriptor).st_size
    with named(source):
        try:
            answer = ask(lambda reader: parse(reader, request).to_json(), descriptor, size, sandbox=options.sandbox)
        except RefusedError as error:
            if error.kind in KINDS:
                raise KINDS[error.kind](str(error)) from error
            raise ConversionError(f"its parser failed with {error.kind}: {error}") from error
        except WorkerError as error:
            raise ConversionError(str(error)) from error
        plan = Plan.from_json(answer)
        plan.check(size)
        return plan


def changed(before: os.stat_result, after: os.stat_result) -> bool:
    """Return whether a file was written to between two looks at it."""
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


@contextmanager
def named(source: Path) -> Iterator[None]:
    """Put the source's name before the message of a refusal."""
    try:
        yield
    except ConversionError as error:
        raise type(error)(f"{source}: {error}") from error


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the operating system says while a target is written into our error."""
    try:
        yield
    except OSError as error:
        raise SourceError(f"{target}: cannot be written: {error.strerror}") from error


def _refuse_same(source: Path, target: Path, before: os.stat_result) -> None:
    """Refuse to replace the source by its own conversion."""
    try:
        there = target.stat()
    except OSError:
        return
    if (there.st_dev, there.st_ino) == (before.st_dev, before.st_ino):
        raise UsageError(f"{source}: source and target are the same file; choose another name for the target")


def _tied(value: str) -> Tied:
    try:
        return Tied(value)
    except ValueError as error:
        raise UsageError(f"tied={value!r}: give keep-one or duplicate") from error


def _conversion(
    plan: Plan,
    order: Sequence[PlannedTensor],
    aliases: dict[str, str],
    *,
    source: FileIdentity,
    target: FileIdentity,
    sha256: dict[str, str],
    options: Options,
) -> Conversion:
    return Conversion(
        format=plan.format,
        sources=(source,),
        targets=(target,),
        tensors=tuple(
            TensorRecord(
                name=tensor.name,
                dtype=tensor.dtype.name,
                shape=tensor.shape,
                sha256=sha256.get(tensor.name),
                file=target.name,
            )
            for tensor in sorted(order, key=lambda tensor: tensor.name)
        ),
        aliases=tuple(sorted(aliases.items())),
        wrapper=plan.wrapper,
        left_out=plan.left_out,
        notes=plan.notes,
        needs_safetensors=needed_version({tensor.dtype.name for tensor in order}),
        verified=options.verify and not options.dry_run,
        written=not options.dry_run,
    )
