"""Sign a model: hash its files once, seal the manifest, write the bundle beside them."""

import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attestations.bundle import Bundle
from attestations.digest import Digest
from attestations.errors import AttestationError, ManifestError, SigningError
from attestations.files import Hashed
from attestations.ignoring import resolve_ignored
from attestations.key_files import read_label
from attestations.manifest import (
    FILES,
    SHARDS,
    SIGNATURE_NAME,
    SINGLE_FILE,
    Manifest,
    ambiguous_names,
    measure,
    signature_path,
)
from attestations.predicates.oms_signature import manifest_of, manifest_statement
from attestations.signers.key import KeySigner, KeyVerifier
from attestations.statement import Statement
from attestations.verify import Signer, Verifier, verify_bundle
from modelsign import hash_cache
from modelsign.errors import SourceError, UsageError
from modelsign.late_signer import LateSigner
from modelsign.publish import refuse_existing, replacing_file, sweep
from modelsign.regular import path_of, read_regular

_MAX_SIGNATURE_BYTES = 256 * 1024 * 1024

# Written compact or indented, sorted or not: one of these stands at the beginning of a bundle.
_NAMES_OF_A_BUNDLE = (b'"mediaType"', b'"dsseEnvelope"', b'"verificationMaterial"', b'"messageSignature"')
_BEGINNING = 4096

# Below this, hashing again costs less than anybody notices.
_WORTH_CACHING = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What was signed, and where the signature lies.

    Attributes:
        signature: the file written.
        manifest: the files covered, and in `unsigned` those that an ignored name left out.
        root: its root digest, which takes a while to compute for many files.
        bundle: the content of the file.
        notes: what a person should know: names that collide elsewhere, other signatures that were left out.
        reused: number of files that were not read again, because nothing says that they changed.
    """

    signature: Path
    manifest: Manifest
    root: Digest
    bundle: Bundle
    notes: tuple[str, ...]
    reused: int = 0


def sign(
    target: str | os.PathLike[str],
    *,
    key: str | os.PathLike[str] | None = None,
    passphrase: str | bytes | None = None,
    signer: Signer | None = None,
    signature: str | os.PathLike[str] | None = None,
    ignore: Sequence[str] = (),
    hash_type: str = "sha256",
    method: str = FILES,
    shard_size: int | None = None,
    allow_symlinks: bool = False,
    single_file_name: str = SINGLE_FILE,
    reuse: str | os.PathLike[str] | None = None,
    force: bool = False,
    name: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Signed:
    """Sign a model in the OpenSSF Model Signing format.

    Args:
        target: a directory, or a model that is one file.
        key: PEM file with the private key to sign with; or else give ``signer``.
        passphrase: of that key, when it is encrypted.
        signer: any signer of `attestations.signers`, for example a `SigstoreSigner`.
        signature: where to write; by default ``model.sig`` in the directory, or ``NAME.sig`` beside the file.
        ignore: names or patterns, relative to the model's root, that are not part of the model.
        hash_type: "sha256", "blake2b" or "blake3"; other tools may only read the first.
        method: "files", or "shards" to hash each file in pieces; other tools may only read the first.
        shard_size: bytes of a piece.
        allow_symlinks: follow links inside the model instead of refusing them.
        single_file_name: how a model that is one file is named: "." as model-signing reads it, or "basename" as the
            specification has it. We read both.
        reuse: an earlier signature of this model, made on this machine: files whose device, inode, size and times have
            not changed since are not read again (`Signed.reused` counts them).
        force: replace an existing signature.
        name: what the statement calls the model, when it is being built under another name than it will have.
        progress: told how many bytes have been read since the last call.

    Raises:
        UsageError: no signer, two, or a signature that exists already.
        SourceError: the target or the place of the signature is not usable.
        AttestationError: the files cannot be hashed, or no signature could be made.
    """
    model = Path(target)
    if single_file_name not in {SINGLE_FILE, "basename"}:
        raise UsageError(f"a single file is called '.' or 'basename' in its signature, not {single_file_name!r}")
    if shard_size is not None and method != SHARDS:
        raise UsageError("a shard size makes sense with the method 'shards' only")
    sealer = signer_of(key, passphrase, signer)
    place = refuse_target(target, signature, force=force)
    known = {} if reuse is None else _known(model, Path(reuse), sealer, method, hash_type)
    ignored, notes = _ignored(model, place, ignore)
    if model.is_dir():
        sweep(model)
    started = hash_cache.now_ns()
    hashed: list[Hashed] = []
    manifest = measure(
        model,
        ignored=ignored,
        hash_type=hash_type,
        method=method,
        shard_size=shard_size,
        allow_symlinks=allow_symlinks,
        known=known,
        record=hashed,
        progress=progress,
    )
    reused = sum(known.get(item.name) is item for item in hashed)
    if reuse is not None or manifest.size >= _WORTH_CACHING:
        hash_cache.save(model, hash_type, hashed, started_ns=started)
    del hashed, known  # of a million files, hundreds of megabytes that the sealing below can use
    if name is not None:
        manifest = replace(manifest, name=name)
    if single_file_name != SINGLE_FILE:
        entries = tuple(replace(entry, name=manifest.file_name(entry)) for entry in manifest.entries)
        manifest = replace(manifest, entries=entries)
    statement = manifest_statement(manifest)
    root = statement.subjects[0].digests[0]
    bundle = sealer.sign(statement)
    del statement
    with replacing_file(place, force=force) as file:
        file.writelines(bundle.pieces())
        file.write(b"\n")
    notes += tuple(
        f"{' and '.join(_told_apart(names))} are one name on systems that fold case or normalise Unicode"
        for names in ambiguous_names(manifest)
    )
    return Signed(signature=place, manifest=manifest, root=root, bundle=bundle, notes=notes, reused=reused)


def _told_apart(names: Sequence[str]) -> list[str]:
    """Return names in quotes; by their code points where they would look the same."""
    if len({unicodedata.normalize("NFC", name) for name in names}) < len(names):
        return [ascii(name) for name in names]
    return [repr(name) for name in names]


def _known(model: Path, earlier: Path, sealer: Signer, method: str, hash_type: str) -> dict[str, Hashed]:
    """Return the digests that an earlier signature and this machine's cache agree on."""
    try:
        bundle = Bundle.parse(read_regular(earlier, _MAX_SIGNATURE_BYTES, what="the earlier signature"))
        if isinstance(sealer, KeySigner):
            # Our own key can say at least that it was not somebody else who put these digests there.
            statement = verify_bundle(bundle, [KeyVerifier(key=sealer.key.public_key(), name="yours")]).statement
        else:
            statement = Statement.parse(bundle.envelope.payload)
        manifest = manifest_of(statement)
    except FileNotFoundError as error:
        raise SourceError(f"{earlier}: the earlier signature cannot be read: {error.strerror}") from error
    except AttestationError as error:
        raise UsageError(f"{earlier}: cannot be reused: {error}") from error
    if (manifest.method, manifest.hash_type) != (FILES, hash_type) or method != FILES:
        raise UsageError(f"{earlier}: cannot be reused: it was made with another hash or method")
    return hash_cache.load(model, manifest)


def refuse_target(target: str | os.PathLike[str], signature: str | os.PathLike[str] | None, *, force: bool) -> Path:
    """Return where the signature of ``target`` goes.

    Raises:
        SourceError: there is no such target, or no directory to write to.
        UsageError: there is a signature already, and ``force`` is not given; or a file that is none.
    """
    model = path_of(target)
    if not model.exists():
        raise SourceError(f"{model}: there is no such file or directory")
    if not (model.is_dir() or model.is_file()):
        raise SourceError(f"{model}: neither a regular file nor a directory")
    place = path_of(signature_path(model) if signature is None else signature)
    if not place.parent.is_dir():
        raise SourceError(f"{place.parent}: there is no such directory to write the signature to")
    refuse_existing(place, force=force, what="signature")
    if signature is not None and _is_something_else(place, model):
        raise UsageError(
            f"{place}: this file is no signature, and --force replaces signatures only; remove it, or choose another "
            "name"
        )
    return place


def _is_something_else(place: Path, model: Path) -> bool:
    """Return whether a file lies there that does not begin as a signature does: weights, say, or a configuration.

    One without content may be what a script made to write to; in the model it is a file of it.
    """
    if not place.is_file():
        return False  # a pipe, say; whoever writes will say what is wrong
    try:
        with place.open("rb") as file:
            begin = file.read(_BEGINNING)
    except OSError:
        return False
    if not begin.strip():
        return model.is_dir() and place.suffix != ".sig" and _name_below(model, place) is not None
    return not any(name in begin for name in _NAMES_OF_A_BUNDLE)


def signer_of(key: str | os.PathLike[str] | None, passphrase: str | bytes | None, signer: Signer | None) -> Signer:
    """Return ``signer``, or one with the PEM key in ``key``.

    Raises:
        UsageError: neither is given, or both.
        SigningError: the key cannot be read, decrypted or used.
    """
    if signer is not None:
        if key is not None:
            raise UsageError("give a key or a signer, not both")
        return signer
    if key is None:
        raise UsageError("nothing to sign with: give a key (`modelsign keys generate` makes one) or a signer")
    return KeySigner.load(Path(key), passphrase.encode() if isinstance(passphrase, str) else passphrase)


def late_signer_of(key: str | os.PathLike[str] | None, passphrase: str | bytes | None, signer: Signer | None) -> Signer:
    """Return the same as `signer_of`, but a key is only loaded when there is something to sign.

    Raises:
        UsageError: neither a key nor a signer is given, or both.
        SigningError: the key's file does not begin as one.
    """
    if signer is not None or key is None:
        return signer_of(key, passphrase, signer)
    label = read_label(Path(key))
    if not label.endswith("PRIVATE KEY") and "PARAMETERS" not in label:
        raise SigningError(f"{key}: not a private key in PEM form, but a {label.lower()}")
    if label.startswith("ENCRYPTED") and not passphrase:
        raise SigningError(f"{key}: the key is encrypted and needs its passphrase")
    return LateSigner(
        lambda: signer_of(key, passphrase, None),
        verifier_of=lambda made: _verifier_of(made, Path(key).name),
    )


def _verifier_of(made: Signer, name: str) -> Verifier:
    assert isinstance(made, KeySigner)
    return made.verifier(name=name)


def _ignored(model: Path, place: Path, patterns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names to leave out besides the usual ones, and notes about those the caller did not give."""
    if model.is_file():
        ignored_names(model, patterns)
        if place.resolve() == model.resolve():
            raise UsageError(f"{place}: the signature would replace the model")
        return (), ()
    names = set(ignored_names(model, patterns))
    own = _name_below(model, place)
    if own is not None:
        names.add(own)
    others = {name for name in _other_signatures(model) if name not in names}
    notes = tuple(f"{name}: another signature of this model, left out" for name in sorted(others))
    return tuple(sorted(names | others)), notes


def ignored_names(model: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the names in ``model`` that ``patterns`` mean.

    Raises:
        UsageError: a pattern that leads outside, or that matches nothing.
    """
    if patterns and not model.is_dir():
        raise UsageError(f"{model} is one file; there is nothing in it to ignore")
    try:
        return resolve_ignored(model, patterns)
    except ManifestError as error:
        raise UsageError(str(error)) from error


def names_left_out(model: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the names in ``model`` that signing leaves out besides the usual ones: as patterns say, and signatures.

    Raises:
        UsageError: a pattern that leads outside, or that matches nothing.
        SourceError: the model cannot be listed.
    """
    names = set(ignored_names(model, patterns))
    return tuple(sorted(names.union(_other_signatures(model) if model.is_dir() else ())))


def _name_below(model: Path, place: Path) -> str | None:
    """Return the name of ``place`` relative to ``model``, None when it lies elsewhere."""
    try:
        return (place.parent.resolve() / place.name).relative_to(model.resolve()).as_posix()
    except ValueError:
        return None


def _other_signatures(model: Path) -> list[str]:
    """Return the root's files that are signatures: signing one would make it the last that may ever be made."""
    try:
        with os.scandir(model) as entries:
            return [entry.name for entry in entries if _is_signature(entry)]
    except OSError as error:
        raise SourceError(f"{model}: cannot be listed: {error.strerror}") from error


def _is_signature(entry: "os.DirEntry[str]") -> bool:
    if not entry.name.endswith(".sig") or entry.name == SIGNATURE_NAME or not entry.is_file(follow_symlinks=False):
        return False
    try:
        with Path(entry.path).open("rb") as file:
            Bundle.parse(file.read(_MAX_SIGNATURE_BYTES))
    except (AttestationError, OSError):
        return False
    return True
