"""`modelsign release`: scan, convert, sign, attest and verify in one go."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from attestations.signers.key import KeySigner
from attestations.verify import Signer, Verifier
from modelsign import report as forms
from modelsign.cli.exits import Exit, exit_of_decision, worst
from modelsign.cli.options import TARGET, Verb, common, quiet, reporting, sandbox_option
from modelsign.cli.output import Output, Style
from modelsign.cli.progress import progress_bar, step_aside
from modelsign.cli.signer import SignerChoice, signer_options
from modelsign.conversion.record import Conversion
from modelsign.escape import plain
from modelsign.gate import Gate
from modelsign.isolation import Sandbox
from modelsign.late_signer import LateVerifier
from modelsign.release import Released
from modelsign.release import release as release_model
from modelsign.report.decision import document, write_human
from modelsign.report.json import document as report_document
from scanners.findings import Report


@click.command(
    cls=Verb,
    epilog="Exit codes: 0 released, 1 the scan stopped it, 2 usage, 3 something could not be analysed, 4 a file cannot "
    "be read or written, 6 a checkpoint cannot be converted safely; those of `modelsign verify` when its own "
    "verification denies.",
)
@click.argument("source", metavar="SRC", type=TARGET)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    metavar="DST",
    required=True,
    help="The directory to make: absent or empty. It appears whole or not at all.",
)
@signer_options
@click.option(
    "--leave-out",
    "--exclude",
    "leave_out",
    multiple=True,
    metavar="GLOB",
    help="Files of SRC that shall not be in the release (an optimizer, say); may be repeated.",
)
@click.option("--allow-incomplete", is_flag=True, help="Go on where something could not be analysed (otherwise 3).")
@click.option("--force", is_flag=True, help="Replace DST.")
@sandbox_option
@reporting("human", "json", files=False)
@common
def release(
    *,
    source: str,
    target: Path,
    signer: SignerChoice,
    leave_out: tuple[str, ...],
    allow_incomplete: bool,
    force: bool,
    sandbox: str,
    output: Output,
) -> int:
    """Scan, convert, sign, attest and verify a model in one go.

    SRC is a checkpoint, or a directory with checkpoints and what belongs to them. Every torch checkpoint becomes
    safetensors without being executed, everything else is copied; the result is scanned, signed and verified before it
    appears as DST. Nothing is uploaded.
    """
    gate = Gate(allow_incomplete=allow_incomplete)
    with progress_bar("Releasing", total=None, quiet=quiet()) as progress:
        sealer = signer.later(step_aside(progress), verifier_of=partial(_verifier, choice=signer))
        released = release_model(
            source,
            target,
            signer=sealer,
            verifier=LateVerifier(sealer),
            leave_out=leave_out,
            allow_incomplete=allow_incomplete,
            force=force,
            sandbox=Sandbox(sandbox),
            progress=progress,
        )
    output.publish(lambda form, style: _json(released) if form == "json" else _human(source, released, gate, style))
    return _exit(released, gate)


def _verifier(sealer: Signer, choice: SignerChoice) -> Verifier:
    if isinstance(sealer, KeySigner):
        return sealer.verifier(name="the release key" if choice.key is None else choice.key.name)
    from attestations.signers.certificate import CertificateSigner
    from attestations.signers.kms import KmsSigner
    from attestations.signers.pkcs11 import TokenSigner
    from attestations.signers.sigstore import SigstoreSigner

    # Every way of signing that `SignerChoice` offers.
    assert isinstance(sealer, CertificateSigner | KmsSigner | SigstoreSigner | TokenSigner)
    return sealer.verifier()


def _exit(released: Released, gate: Gate) -> Exit:
    if released.decision is not None:
        return exit_of_decision(released.decision)
    codes = [Exit.OK]
    for report in (released.source, released.result):
        if report is not None and gate.stopped_by(report):
            codes.append(Exit.DENIED)
        if report is not None and gate.misses(report):
            codes.append(Exit.INCOMPLETE)
    return worst(codes)


def _json(released: Released) -> str:
    gate = Gate()

    def scanned(report: Report | None) -> object:
        return None if report is None else report_document(report, forms.Result(reports=(report,), gate=gate))

    value = {
        "schema": "modelsign.released/v1",
        "target": released.target.name,
        "published": released.published,
        "source": scanned(released.source),
        "conversions": [conversion.to_record() for conversion in released.conversions],
        "copied": list(released.copied),
        "left_out": list(released.left_out),
        "result": scanned(released.result),
        "decision": None if released.decision is None else document(released.decision),
    }
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


def _human(source: str, released: Released, gate: Gate, style: Style) -> str:
    return "".join(f"{line}\n" for line in _lines(source, released, gate, style))


def _lines(source: str, released: Released, gate: Gate, style: Style) -> Iterator[str]:
    stopped = released.result or released.source
    if released.decision is None:
        what = "the result" if released.result is not None else plain(source)
        yield from _shown(stopped, gate, style)
        yield f"Stopped: the scan of {what} does not pass; nothing was written."
        return
    if not style.quiet:
        yield f"1. Scanned    {plain(source)}: {released.source.verdict.value}, {len(released.source.files)} files"
        yield from _conversions(released)
        result = released.result
        if result is not None:
            files = f"{len(result.files)} files"
            yield f"3. Scanned    the result: {result.verdict.value}, {files}, rule set {result.ruleset}"
        if released.signed is not None:
            yield f"4. Signed     {plain(str(released.signed.signature))}, root {released.signed.root}"
        if released.attested is not None:
            kinds = ", ".join(statement.predicate_type for statement in released.attested.statements)
            yield f"5. Attested   {plain(str(released.attested.claims))}: {kinds}"
    decision = write_human(released.decision, color=style.color, quiet=style.quiet).rstrip("\n")
    if decision:
        yield from (
            f"6. Verified   {line}" if not number else f"   {line}" for number, line in enumerate(decision.split("\n"))
        )
    if not released.published:
        yield "Stopped: its own verification does not allow it; nothing was written."
    elif not style.quiet:
        yield f"Released {plain(str(released.target))}. Nothing was uploaded."


def _conversions(released: Released) -> Iterator[str]:
    for conversion in released.conversions:
        yield f"2. Converted  {plain(_conversion(conversion))}"
    if not released.conversions:
        yield "2. Converted  nothing: there is no torch checkpoint in it"
    if released.left_out:
        yield f"   left out   {plain(', '.join(released.left_out))}"


def _conversion(conversion: Conversion) -> str:
    sources = ", ".join(file.name for file in conversion.sources)
    targets = ", ".join(file.name for file in conversion.targets)
    parts = [f"{sources} -> {targets}: {len(conversion.tensors)} tensors, compared bit by bit"]
    if conversion.aliases:
        parts.append(f"{len(conversion.aliases)} tied")
    if conversion.left_out:
        names = [item.path for item in conversion.left_out]
        parts.append(f"left out {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else ""))
    return ", ".join(parts)


def _shown(report: Report, gate: Gate, style: Style) -> Iterator[str]:
    text = forms.write(forms.Result(reports=(report,), gate=gate), "human", color=style.color, quiet=style.quiet)
    yield from text.rstrip("\n").split("\n")
