"""`modelsign verify`: signature, content and claims, before anything is loaded."""

from datetime import UTC, datetime
from pathlib import Path

import click

from modelsign.cli.exits import exit_of_decision
from modelsign.cli.hashing import hashing_bar
from modelsign.cli.options import TARGET, Verb, common, offline_option, reporting, sandbox_option
from modelsign.cli.output import Output
from modelsign.cli.trust_options import TrustChoice, trust_options
from modelsign.config import refuse_inside
from modelsign.isolation import Sandbox
from modelsign.policy.decision import Decision
from modelsign.report.decision import write_human, write_json
from modelsign.verification import verify as verify_model
from scanners.records import dataclass


@click.command(
    cls=Verb,
    epilog="Exit codes: 0 allowed, 1 denied by the scan or the policy, 2 usage, 3 incomplete, 10 no signature, "
    "11 invalid, 12 not trusted, 13 content differs, 14 claim missing, 15 trust or policy expired, 16 not supported.",
)
@click.argument("target", type=TARGET)
@offline_option
@trust_options
@click.option(
    "--signature",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="FILE",
    help="Read the signature from FILE instead of model.sig in the model (or NAME.sig beside a file).",
)
@click.option(
    "--cosignature",
    "cosignatures",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    multiple=True,
    metavar="FILE",
    help="Another signature of the same model, for a policy that wants several signers; may be repeated.",
)
@click.option(
    "--claims",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="FILE",
    help="Read the claims from FILE instead of claims.jsonl in the model (or NAME.claims.jsonl beside a file).",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATTERN",
    help="A name or pattern, relative to the model's root, that is not part of the model; may be repeated.",
)
@click.option(
    "--partial",
    multiple=True,
    metavar="GLOB",
    help="Verify only files that match, the ones a loader will read; may be repeated. Says what it left.",
)
@click.option("--all", "every", is_flag=True, help="Name every difference instead of ending at the first.")
@click.option("--no-scan", is_flag=True, help="Do not scan the model as well.")
@click.option("--allow-incomplete", is_flag=True, help="Let pass what the scan could not analyse (otherwise code 3).")
@click.option("--legacy", is_flag=True, help="Also judge signatures of model-signing v0.2.0 (weaker; see the docs).")
@click.option("--ignore-unsigned-files", is_flag=True, help="Warn about files that nobody signed, do not deny.")
@click.option("--allow-symlinks", is_flag=True, help="Follow links that stay inside the model, where its signer did.")
@click.option(
    "--insecure-ignore-tlog",
    is_flag=True,
    help="INSECURE: with --identity, accept what no transparency log proves; a timestamp is still needed. Never from a "
    "configuration file.",
)
@click.option(
    "--insecure-ignore-time",
    is_flag=True,
    help="INSECURE: with --insecure-ignore-tlog, accept what nobody trusted gives a time to, even by expired keys.",
)
@click.option(
    "--signed-after",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    metavar="DATE",
    help="Only count signatures that somebody trusted saw made after this (UTC): when a key began to count.",
)
@click.option(
    "--signed-before",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    metavar="DATE",
    help="Only count signatures that somebody trusted saw made before this (UTC): when a key was lost.",
)
@click.option(
    "--manifest",
    "claimed_digests",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="FILE",
    help="Compare the signature with digests that others claim (`modelsign digest --json`, or lines of sha256sum) "
    "instead of files; exits with 3, because nothing was measured.",
)
@click.option("--accept-claimed-digests", is_flag=True, help="Be content with --manifest.")
@click.option(
    "--vsa",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="FILE",
    help="After an allowed decision by --policy, write it to FILE as a signed SLSA verification summary.",
)
@click.option(
    "--vsa-key",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="FILE",
    help="Private key of the gate that signs the summary; nobody who made the model may hold it.",
)
@click.option("--resource-uri", metavar="URI", help="Under which name the summary's readers will ask for the model.")
@sandbox_option
@reporting("human", "json")
@common
def verify(
    *,
    target: str,
    trusted: TrustChoice,
    signature: Path | None,
    cosignatures: tuple[Path, ...],
    claims: Path | None,
    ignore: tuple[str, ...],
    partial: tuple[str, ...],
    every: bool,
    no_scan: bool,
    allow_incomplete: bool,
    legacy: bool,
    insecure_ignore_tlog: bool,
    insecure_ignore_time: bool,
    signed_after: datetime | None,
    signed_before: datetime | None,
    claimed_digests: Path | None,
    accept_claimed_digests: bool,
    vsa: Path | None,
    vsa_key: Path | None,
    resource_uri: str | None,
    ignore_unsigned_files: bool,
    allow_symlinks: bool,
    sandbox: str,
    output: Output,
) -> int:
    """Verify signature, content and claims of a model, and scan it, before anything is loaded.

    TARGET is a directory, or a model that is one file. Nothing is trusted by default: give --key, or --identity with
    --issuer, or --policy. Where a policy and a key or identity are given, both must be satisfied.
    """
    output.spare([target])
    if claimed_digests is None and accept_claimed_digests:
        raise click.UsageError("--accept-claimed-digests goes with --manifest")
    if claimed_digests is not None:
        refuse_inside(claimed_digests, [target], what="list of digests")
    gate = _gate(vsa, vsa_key, resource_uri, trusted)
    with hashing_bar(Path(target), label="Verifying", passes=1 if no_scan else 2) as progress:
        decision = verify_model(
            target,
            **trusted.arguments(target),  # type: ignore[arg-type]  # named after the parameters
            signature=signature,
            claims=claims,
            cosignatures=cosignatures,
            ignore=ignore,
            partial=partial,
            every=every,
            scan=not no_scan,
            allow_incomplete=allow_incomplete,
            allow_unsigned=ignore_unsigned_files,
            allow_symlinks=allow_symlinks,
            legacy=legacy,
            insecure_ignore_log=insecure_ignore_tlog,
            insecure_ignore_time=insecure_ignore_time,
            signed_after=_utc(signed_after),
            signed_before=_utc(signed_before),
            claimed_digests=claimed_digests,
            accept_claimed_digests=accept_claimed_digests,
            sandbox=Sandbox(sandbox),
            progress=progress,
        )
    if gate is not None and decision.allowed:
        gate.write(decision)
    output.publish(
        lambda form, style: (
            write_json(decision) if form == "json" else write_human(decision, color=style.color, quiet=style.quiet)
        )
    )
    return exit_of_decision(decision)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """Who sums an allowed decision up, and where to."""

    file: Path
    key: Path
    resource: str

    def write(self, decision: Decision) -> None:
        from attestations.signers.key import KeySigner
        from modelsign.claims.verification_summary import summary_bundle
        from modelsign.cli.signer import passphrase_for
        from modelsign.publish import replacing_file

        # Not before: the scan's workers begin with our memory.
        signer = KeySigner.load(self.key, passphrase_for(self.key))
        bundle = summary_bundle(decision, signer, resource=self.resource, verified=datetime.now(UTC))
        with replacing_file(self.file, force=True) as file:
            file.write(bundle.to_json() + b"\n")


def _gate(vsa: Path | None, key: Path | None, resource: str | None, trusted: TrustChoice) -> _Gate | None:
    if vsa is None:
        if key is not None or resource is not None:
            raise click.UsageError("--vsa-key and --resource-uri go with --vsa")
        return None
    if key is None or resource is None or trusted.policy is None:
        raise click.UsageError(
            "a summary says who verified what against which policy: give --vsa-key, --resource-uri and --policy"
        )
    from modelsign.cli.signer import refuse_no_key

    refuse_no_key(key)
    return _Gate(file=vsa, key=key, resource=resource)


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)
