"""A whole model directory in one go: weights become safetensors, shards included, and the rest is copied.

No pickle reaches the result. A file that is one but holds no tensors (`training_args.bin`, a scheduler) is left out and
named; one that cannot be converted refuses the directory. Weights in formats without pickles (HDF5, Flax, numpy) are
copied where they cannot be converted, and beside their conversion where they hold more than weights (a Keras model's
layers). Signatures and claims of the source are left out: they speak of other bytes. The result is built beside its
place and renamed, so there is a whole one or none.
"""

import fnmatch
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath

from modelsign.conversion.converting import (
    CHANGED,
    SUFFIX,
    Options,
    changed,
    default_target,
    named,
    open_source,
    plan_of,
    writing,
)
from modelsign.conversion.copying import Copier, copy_file, hash_file
from modelsign.conversion.dtypes import needed_version
from modelsign.conversion.inputs import torch_legacy
from modelsign.conversion.inputs.npy import MAGIC as NPY
from modelsign.conversion.origins import Origin, settle
from modelsign.conversion.output import check_alignment, lay_out
from modelsign.conversion.plan import Plan, PlannedTensor
from modelsign.conversion.record import Conversion, FileIdentity, LeftOut, TensorRecord
from modelsign.conversion.refusals import NoPickleError, NoTensorsError, UnknownFormatError
from modelsign.conversion.sharding import (
    INDEX_LIMIT,
    index_bytes,
    index_target,
    is_index,
    read_index,
    shard_names,
    shards,
    tensor_name,
)
from modelsign.conversion.tree import WHOLE
from modelsign.conversion.tying import untied
from modelsign.errors import ConversionError, NothingToDo, SourceError, UsageError
from modelsign.publish import is_leftover, making_parents, replacing_directory, replacing_file, scratch_file
from modelsign.sources.local import open_below
from scanners.formats.hdf5 import MAGIC as HDF5

_PICKLES = frozenset(
    {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".th", ".ptl", ".pdparams", ".pdopt", ".dill"}
)
"""suffixes of files that loaders unpickle without a look at their content"""
_ARRAYS = frozenset({".h5", ".hdf5", ".keras", ".npz", ".npy", ".msgpack"})
"""suffixes of weights in formats without pickles, arrays of objects in numpy's aside"""
_WEIGHTS = ("pytorch_model", "diffusion_pytorch_model", "adapter_model")
"""names of `.bin` files that loaders unpickle without a look at their content"""
_PLAIN = frozenset({"hdf5", "keras", "flax-msgpack", "npy", "npz"})
"""formats without pickles"""
_SKIPPED = frozenset({".git", ".cache", "__pycache__"})
_SEALS = ("model.sig", "claims.jsonl")
_HEAD = 512
_LISTED = 4 << 20
_NAMED = 5


@dataclass(slots=True, kw_only=True)
class _Input:
    """A checkpoint of the directory, planned; open only while it is read, for a directory may have very many."""

    name: str
    """relative to the directory, POSIX"""
    path: Path
    opener: Callable[[], tuple[int, os.stat_result]]
    status: os.stat_result
    """of what was planned"""
    plan: Plan
    pickled: bool
    """whether it is a pickle, or an archive with one in it"""
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Checkpoints that make one set of weights."""

    folder: str
    stem: str
    inputs: tuple[_Input, ...]
    index: str | None = None
    """relative name of the index that lists them"""


@dataclass(slots=True, kw_only=True)
class _Sorted:
    """What is to be done with the files of a directory."""

    groups: list[_Group] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    copied_too: list[str] = field(default_factory=list)
    """beside their conversion"""
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outputs: set[str] = field(default_factory=set)
    """relative names that are taken already: files of the source and what others become"""


@dataclass(slots=True, kw_only=True)
class _Done:
    """What was written so far."""

    targets: list[FileIdentity] = field(default_factory=list)
    tensors: list[TensorRecord] = field(default_factory=list)
    aliases: list[tuple[str, str]] = field(default_factory=list)


def convert_directory(
    source: Path,
    target: Path | None,
    options: Options,
    *,
    max_shard_size: int | None = None,
    exclude: Sequence[str] = (),
) -> Conversion:
    """Convert every checkpoint of a directory and copy the rest.

    Args:
        source: the directory.
        target: the directory to write; by default beside the source, with `-safetensors` behind its name.
        options: as for a file.
        max_shard_size: write shards of this many bytes at most; None keeps the source's structure.
        exclude: patterns of relative names that are left out.

    Returns:
        What was done, all files together.

    Raises:
        ConversionError: a checkpoint cannot be converted safely.
        NothingToDo: there is no checkpoint.
        UsageError: the target exists, or lies in the source.
        SourceError: a file cannot be read or written.
    """
    check_alignment(options.align)
    root = source.resolve()
    target = root.with_name(f"{root.name}-safetensors") if target is None else target
    if target.resolve().is_relative_to(root):
        raise UsageError(f"{target}: lies in the directory that is converted; choose another place")
    _refuse_around(target, root)
    work = _sorted(root, options, exclude)
    if not work.groups:
        raise NothingToDo(f"{source}: holds no checkpoint that could be converted{_instead(work.left_out)}")
    if options.dry_run:
        done = _Done()
        for group in work.groups:
            _write_group(group, None, options, max_shard_size, done)
        return _conversion(work, done, options)
    with writing(target), making_parents(target), replacing_directory(target, force=options.force) as building:
        done = _fill(root, building, work, options, max_shard_size)
    return _conversion(work, done, options)


def convert_to_shards(source: Path, target: Path | None, options: Options, *, max_shard_size: int) -> Conversion:
    """Convert one file into a directory of shards with an index. See `convert_directory`."""
    check_alignment(options.align)
    target = source.with_name(default_target(source).name.removesuffix(SUFFIX)) if target is None else target
    _refuse_around(target, source.resolve())
    found = _input(source, source.name, partial(open_source, source), options)
    stem = default_target(source).name.removesuffix(SUFFIX)
    group = _Group(folder="", stem=stem, inputs=(found,))
    work = _Sorted(groups=[group])
    done = _Done()
    if options.dry_run:
        _write_group(group, None, options, max_shard_size, done)
        return _conversion(work, done, options)
    with writing(target), making_parents(target), replacing_directory(target, force=options.force) as building:
        _write_group(group, building, options, max_shard_size, done)
    return _conversion(work, done, options)


def _instead(left_out: Sequence[LeftOut]) -> str:
    """Say what pickles there are in a directory of which nothing is to be converted."""
    pickles = [f"{item.path} ({item.kind})" for item in left_out if item.kind.startswith("pickle")]
    if not pickles:
        return ""
    shown = ", ".join(pickles[:_NAMED]) + (" …" if len(pickles) > _NAMED else "")
    return f"; use it without its pickles, which are not needed to load weights: {shown}"


def _refuse_around(target: Path, source: Path) -> None:
    """Refuse a target that the source lies in: it would be replaced as a whole, and the source with it."""
    if source.is_relative_to(target.resolve()):
        raise UsageError(f"{target}: the source lies in it and would be replaced with it; choose another directory")


# -- looking ------------------------------------------------------------------------------------------------------


def _sorted(root: Path, options: Options, exclude: Sequence[str]) -> _Sorted:
    work = _Sorted()
    names = []
    for name in _names(root):
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in exclude):
            work.left_out.append(LeftOut(path=name, kind="file"))
        elif name in _SEALS:
            work.left_out.append(LeftOut(path=name, kind="signature of the source"))
        else:
            names.append(name)
    grouped: set[str] = set()
    for name in names:
        if is_index(PurePosixPath(name).name):
            group = _indexed(root, name, names, options)
            if group is None:
                work.left_out.append(LeftOut(path=name, kind="index of shards that are safetensors already"))
                continue
            grouped.update(one.name for one in group.inputs)
            grouped.add(name)
            work.groups.append(group)
    work.outputs.update(name for name in names if name not in grouped)
    for group in work.groups:
        work.outputs.update(
            (PurePosixPath(group.folder) / default_target(one.path).name).as_posix() for one in group.inputs
        )
    kinds = {
        name: _kind(root, name) for name in names if name not in grouped and not is_index(PurePosixPath(name).name)
    }
    for name, kind in sorted(kinds.items(), key=lambda pair: (_rank(*pair), pair[0])):
        _sort(root, name, kind, options, work)
    work.copied.sort()
    return work


def _names(root: Path) -> Iterator[str]:
    """Yield the files below a directory, sorted. Links must stay inside it, or in the blobs of a download cache."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        relative = Path(folder).relative_to(root)
        for name in (*files, *(one for one in folders if (Path(folder) / one).is_symlink())):
            if is_leftover(name):
                continue
            path = Path(folder) / name
            if path.is_symlink():
                _check_link(path, root)
            if not stat.S_ISREG(path.stat().st_mode):
                raise SourceError(f"{path}: is not a regular file")
            found.append((relative / name).as_posix())
    yield from sorted(found)


def _open_inside(root: Path, name: str) -> tuple[int, os.stat_result]:
    """Open a file of the directory, wherever a link in its place may lead by now.

    Minutes lie between the look at a directory and the copy of its last file; whoever can write to it must not make us
    read a file of somebody else.
    """
    path = root / name
    real = _check_link(path, root)
    try:
        descriptor = open_below("/", real.parts[1:])
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    return descriptor, os.fstat(descriptor)


def _check_link(path: Path, root: Path) -> Path:
    """Return where a path really leads; refuse one that leads out of the directory."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise SourceError(f"{path}: is a link to nothing") from error
    blobs = root.parent.parent / "blobs"  # <repo>/snapshots/<revision>/file -> <repo>/blobs/<digest>
    if not real.is_relative_to(root) and not (root.parent.name == "snapshots" and real.parent == blobs):
        raise SourceError(f"{path}: is a link that leads out of the directory; replace it by the file itself")
    return real


def _indexed(root: Path, name: str, names: Sequence[str], options: Options) -> _Group | None:
    """Return the shards an index lists; None where the directory has them as safetensors already."""
    folder = PurePosixPath(name).parent
    if (folder / index_target(PurePosixPath(name).name)).as_posix() in names:
        return None
    with named(root / name):
        descriptor, status = _open_inside(root, name)
        with os.fdopen(descriptor, "rb") as listed:
            if status.st_size > INDEX_LIMIT:
                raise ConversionError("is larger than any index of shards")
            index = read_index(listed.read(INDEX_LIMIT), "the index")
        inputs = []
        present: set[str] = set()
        for file in index.files:
            relative = (folder / file).as_posix()
            if relative not in names:
                raise ConversionError(f"lists the shard {file!r}, which is not there; fetch it first")
            found = _open(root, relative, replace(options, select=options.select or WHOLE))
            repeated = present.intersection(tensor.name for tensor in found.plan.tensors)
            if repeated:
                raise ConversionError(f"the tensor {min(repeated)!r} is in more than one shard")
            present.update(tensor.name for tensor in found.plan.tensors)
            inputs.append(found)
        missing = {tensor_name(name) for name in index.weight_map} - {tensor_name(name) for name in present}
        if missing:
            raise ConversionError(f"lists {len(missing)} tensors that no shard has, {min(missing)!r} among them")
    stem = index_target(PurePosixPath(name).name).partition(".safetensors.index")[0]
    return _Group(folder=_folder(folder), stem=stem, inputs=tuple(inputs), index=name)


def _rank(name: str, kind: "_Kind") -> int:
    """Return who is first to choose a name: what Hugging Face's loaders look for, other pickles, other weights."""
    if kind is _Kind.OTHER:
        return 3
    if kind is not _Kind.PICKLE:
        return 2
    return 0 if PurePosixPath(name).name.startswith(_WEIGHTS) else 1


def _sort(root: Path, name: str, kind: "_Kind", options: Options, work: _Sorted) -> None:
    """Decide about one file: convert, copy or leave out."""
    pure = PurePosixPath(name)
    if kind is _Kind.OTHER:
        work.copied.append(name)
        return
    output = _output(root / name, pure, kind, work.outputs)
    if output is None:
        work.left_out.append(LeftOut(path=name, kind=f"pickle beside {default_target(root / name).name}"))
        return
    try:
        found = _open(root, name, options)
    except NoTensorsError:
        work.left_out.append(LeftOut(path=name, kind="pickle without tensors"))
        return
    except UnknownFormatError:
        if kind is _Kind.PICKLE and _is_certain(pure):
            raise
        work.copied.append(name)
        return
    except ConversionError as error:
        harmless = isinstance(error, NoPickleError) and kind is not _Kind.PICKLE
        if not harmless and (kind is not _Kind.ZIP or _mentions_a_pickle(root, name)):
            raise
        work.copied.append(name)
        work.notes.append(f"copied as it is, not converted: {str(error).removeprefix(f'{root}/')}")
        return
    if kind is _Kind.ZIP and not found.pickled:
        work.copied.append(name)  # arrays in an archive of some other format, which needs them there
        return
    if not found.pickled and found.plan.left_out and not found.plan.notes:  # notes tell of code in a configuration
        work.copied_too.append(name)
        held = ", ".join(sorted({item.kind for item in found.plan.left_out}))
        work.notes.append(f"{name}: copied as well, because it holds more than weights ({held})")
    work.outputs.add((pure.parent / output).as_posix())
    work.groups.append(_Group(folder=_folder(pure.parent), stem=output.removesuffix(SUFFIX), inputs=(found,)))


def _output(path: Path, pure: PurePosixPath, kind: "_Kind", taken: set[str]) -> str | None:
    """Return what a file becomes; None for a pickle that was converted already, beside it in the source."""
    short, whole = default_target(path).name, f"{path.name}{SUFFIX}"
    if (pure.parent / short).as_posix() not in taken:
        return short
    if kind is not _Kind.ARRAYS and path.with_name(short).exists():
        return None
    return whole


class _Kind(Enum):
    """What a file of a directory may be, by its name and its first bytes."""

    PICKLE = "pickle"
    ARRAYS = "arrays"
    """weights in a format without pickles"""
    ZIP = "zip"
    """an archive of some kind"""
    OTHER = "other"


def _is_certain(pure: PurePosixPath) -> bool:
    """Return whether loaders unpickle files of such a name without a look at their content."""
    suffix = pure.suffix.lower()
    return suffix in _PICKLES or (suffix == ".bin" and pure.name.startswith(_WEIGHTS))


def _kind(root: Path, name: str) -> _Kind:
    """Return what a file may be, whatever it is called."""
    descriptor, _ = _open_inside(root, name)
    with os.fdopen(descriptor, "rb") as file:
        head = file.read(_HEAD)
    archive = head.startswith(b"PK\x03\x04")
    begins = torch_legacy.is_legacy(head) or (len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5)
    pure = PurePosixPath(name)
    if _is_certain(pure) or begins or (archive and b"/data.pkl" in head):
        return _Kind.PICKLE
    if pure.suffix.lower() in _ARRAYS or head.startswith((HDF5, NPY)):
        return _Kind.ARRAYS
    return _Kind.ZIP if archive else _Kind.OTHER


def _mentions_a_pickle(root: Path, name: str) -> bool:
    """Return whether an archive that cannot be read may be a checkpoint: where members are listed, is one a pickle?"""
    descriptor, status = _open_inside(root, name)
    with os.fdopen(descriptor, "rb") as file:
        listed = file.read(_LISTED)
        file.seek(max(0, status.st_size - _LISTED))
        listed += file.read(_LISTED)
    return any(word in listed.lower() for word in (b"data.pkl", b".npy"))


def _open(root: Path, name: str, options: Options) -> _Input:
    return _input(root / name, name, partial(_open_inside, root, name), options)


def _input(path: Path, name: str, opener: Callable[[], tuple[int, os.stat_result]], options: Options) -> _Input:
    descriptor, status = opener()
    try:
        plan = plan_of(descriptor, path, options)
    finally:
        os.close(descriptor)
    return _Input(name=name, path=path, opener=opener, status=status, plan=plan, pickled=plan.format not in _PLAIN)


def _opened(one: _Input, stack: ExitStack) -> int:
    """Open a checkpoint again, to be copied."""
    descriptor, status = one.opener()
    stack.callback(os.close, descriptor)
    if not os.path.samestat(one.status, status) or changed(one.status, status):
        raise ConversionError(f"{one.path}: {CHANGED}")
    return descriptor


def _folder(pure: PurePosixPath) -> str:
    return "" if pure == PurePosixPath() else pure.as_posix()


# -- writing ------------------------------------------------------------------------------------------------------


def _fill(root: Path, building: Path, work: _Sorted, options: Options, max_shard_size: int | None) -> _Done:
    done = _Done()
    for group in work.groups:
        folder = building / group.folder
        folder.mkdir(parents=True, exist_ok=True)
        _write_group(group, folder, options, max_shard_size, done)
    for name in (*work.copied, *work.copied_too):
        path = building / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, status = _open_inside(root, name)
        try:
            mode = stat.S_IMODE(status.st_mode) & 0o777  # as cp does: scripts still run, private files stay private
            with replacing_file(path, force=False, mode=mode, durable=options.verify) as file:
                copy_file(descriptor, file.fileno(), status.st_size, root / name, options.progress)
        except UsageError as error:
            raise UsageError(f"{name}: a checkpoint of the directory becomes a file of this name") from error
        finally:
            os.close(descriptor)
    return done


def _write_group(group: _Group, folder: Path | None, options: Options, max_shard_size: int | None, done: _Done) -> None:
    """Write one set of weights; with no folder only say what would be written."""
    merged: list[PlannedTensor] = []
    bounds = [0]
    base = 0
    for one in group.inputs:
        merged += [replace(tensor, store=tensor.store + base) for tensor in one.plan.tensors]
        bounds.append(len(merged))
        base += len(one.plan.stores)
    if max_shard_size is None:
        parts = [untied(merged[low:high], options.tied) for low, high in pairwise(bounds)]
        named_alike = [default_target(one.path).name for one in group.inputs]
        files = [f"{group.stem}{SUFFIX}"] if group.index is None else named_alike
        has_index = group.index is not None
    else:
        parts = _cut(merged, options, max_shard_size)
        files = shard_names(group.stem, len(parts))
        has_index = len(files) > 1
    with ExitStack() as stack:
        origins: list[Origin] = []
        descriptors = [] if folder is None else [_opened(one, stack) for one in group.inputs]
        if folder is not None:
            for one, descriptor in zip(group.inputs, descriptors, strict=True):
                with named(one.path):
                    origins += settle(one.plan, descriptor, stack.enter_context(scratch_file(folder)))
        for number, (file, (tensors, aliases)) in enumerate(zip(files, parts, strict=True)):
            alone = group.inputs[number] if max_shard_size is None else None
            hashed = descriptors[number] if descriptors and alone is not None and options.digest else None
            with named(group.inputs[0].path if alone is None else alone.path):
                sha256 = _write_file(group, folder, file, tensors, aliases, origins, hashed, options, done)
            if alone is not None:
                alone.sha256 = sha256
        for one, descriptor in zip(group.inputs, descriptors, strict=folder is not None):
            if changed(one.status, os.fstat(descriptor)):
                raise ConversionError(f"{one.path}: {CHANGED}")
            if options.digest and one.sha256 is None:
                one.sha256 = hash_file(descriptor)
    if has_index and folder is not None:
        index = f"{group.stem}.safetensors.index.json"
        if group.index is not None:
            index = index_target(PurePosixPath(group.index).name)
        _write_index(group, folder / index, files, parts, options, done)


def _cut(merged: list[PlannedTensor], options: Options, limit: int) -> list[tuple[list[PlannedTensor], dict[str, str]]]:
    tensors, aliases = untied(merged, options.tied)
    parts = []
    for shard in shards(tensors, limit):
        here = {tensor.name for tensor in shard}
        parts.append((shard, {name: kept for name, kept in aliases.items() if kept in here}))
    return parts


def _write_file(
    group: _Group,
    folder: Path | None,
    file: str,
    tensors: Sequence[PlannedTensor],
    aliases: dict[str, str],
    origins: Sequence[Origin],
    hashed: int | None,
    options: Options,
    done: _Done,
) -> str | None:
    """Write one file; return the SHA-256 of the source whose descriptor is to be ``hashed`` on the way."""
    layout = lay_out(tensors, metadata={**aliases, "format": "pt"}, align=options.align)
    digests: dict[str, str] = {}
    source_sha256 = target_sha256 = None
    if folder is not None:
        with replacing_file(folder / file, force=False, durable=options.verify) as written:
            copier = Copier(
                source=hashed,
                target=written.fileno(),
                layout=layout,
                origins=origins,
                progress=options.progress,
            )
            copied = copier.run(verify=options.verify)
            digests = copied.sha256
            target_sha256 = hash_file(written.fileno()) if options.digest else None
            source_sha256 = copied.source_sha256
    name = f"{group.folder}/{file}" if group.folder else file
    done.targets.append(FileIdentity(name=name, size=layout.size, sha256=target_sha256))
    done.aliases += aliases.items()
    done.tensors += [
        TensorRecord(
            name=tensor.name,
            dtype=tensor.dtype.name,
            shape=tensor.shape,
            sha256=digests.get(tensor.name),
            file=name,
        )
        for tensor in tensors
    ]
    return source_sha256


def _write_index(
    group: _Group,
    path: Path,
    files: Sequence[str],
    parts: Sequence[tuple[list[PlannedTensor], dict[str, str]]],
    options: Options,
    done: _Done,
) -> None:
    aliases = {name: kept for _, tied in parts for name, kept in tied.items()}
    data = index_bytes({file: tensors for file, (tensors, _) in zip(files, parts, strict=True)}, aliases)
    with replacing_file(path, force=False, durable=options.verify) as written:
        written.write(data)
        written.flush()
        sha256 = hash_file(written.fileno()) if options.digest else None
    name = f"{group.folder}/{path.name}" if group.folder else path.name
    done.targets.append(FileIdentity(name=name, size=len(data), sha256=sha256))


def _conversion(work: _Sorted, done: _Done, options: Options) -> Conversion:
    inputs = [one for group in work.groups for one in group.inputs]
    several = len(inputs) > 1
    return Conversion(
        format="directory" if several or work.copied else inputs[0].plan.format,
        sources=tuple(
            sorted(
                (FileIdentity(name=one.name, size=one.status.st_size, sha256=one.sha256) for one in inputs),
                key=lambda file: file.name,
            )
        ),
        targets=tuple(sorted(done.targets, key=lambda file: file.name)),
        tensors=tuple(sorted(done.tensors, key=lambda tensor: (tensor.file, tensor.name))),
        aliases=tuple(sorted(set(done.aliases))),
        wrapper=inputs[0].plan.wrapper if not several else None,
        left_out=(*work.left_out, *_left_out(inputs, several=several)),
        notes=(
            *(f"{one.name}: {note}" if several else note for one in inputs for note in one.plan.notes),
            *work.notes,
            *([f"other files, copied as they are: {len(work.copied)}"] if work.copied else []),
        ),
        needs_safetensors=needed_version({tensor.dtype for tensor in done.tensors}),
        verified=options.verify and not options.dry_run,
        written=not options.dry_run,
    )


def _left_out(inputs: Sequence[_Input], *, several: bool) -> Iterator[LeftOut]:
    for one in inputs:
        for item in one.plan.left_out:
            yield replace(item, path=f"{one.name}: {item.path}") if several else item
