"""`modelsign attest`: attach signed statements to a model."""

import json
from pathlib import Path

import click

from attestations.predicates.model_scan import Result
from modelsign.attesting import Attested
from modelsign.attesting import attest as attest_model
from modelsign.cli.exits import Exit
from modelsign.cli.hashing import hashing_bar
from modelsign.cli.options import TARGET, Verb, common, reporting, sandbox_option
from modelsign.cli.output import Output, Style
from modelsign.cli.progress import step_aside
from modelsign.cli.signer import SignerChoice, signer_options
from modelsign.errors import UsageError
from modelsign.escape import plain
from modelsign.isolation import Sandbox


@click.command(
    cls=Verb,
    epilog="Exit codes: 0 attested, 1 attested that the scan found something, 2 usage or a report about other bytes, "
    "3 attested an incomplete scan, 4 a file or key cannot be read, 13 the model is not what its signature says.",
)
@click.argument("target", type=TARGET)
@signer_options
@click.option("--scan", is_flag=True, help="Scan the model now, and attest what was found.")
@click.option(
    "--report",
    "report_file",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="FILE",
    help="Attest this report of `modelsign scan --digest --json`; its digests must be those of the model.",
)
@click.option(
    "--conversion",
    "conversions",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    multiple=True,
    metavar="RECORD",
    help="Attest this record of `modelsign convert --record`; may be repeated.",
)
@click.option(
    "--compat",
    type=click.Choice(["test-result"]),
    help="Attest the scan a second time as in-toto's test-result, for tools that know only that.",
)
@click.option(
    "--signature",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="FILE",
    help="Where the signature lies, if not in its usual place.",
)
@click.option(
    "--claims",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    metavar="FILE",
    help="Add to FILE instead of claims.jsonl in the model (or NAME.claims.jsonl beside a file).",
)
@sandbox_option
@reporting("human", "json", files=False)
@common
def attest(
    *,
    target: str,
    signer: SignerChoice,
    scan: bool,
    report_file: Path | None,
    conversions: tuple[Path, ...],
    compat: str | None,
    signature: Path | None,
    claims: Path | None,
    sandbox: str,
    output: Output,
) -> int:
    """Attach signed statements to a model: what a scan found, what a conversion did.

    TARGET is a directory, or a model that is one file. Statements are in-toto statements over the root digest and the
    files of the model, one Sigstore bundle per line of its claims.
    """
    output.spare([target])
    if not (scan or report_file or conversions):
        # Refused before a passphrase is asked for or an identity becomes public.
        raise UsageError("nothing to attest: give --scan, --report FILE or --conversion RECORD")
    with hashing_bar(Path(target), label="Attesting", passes=2 if scan else 1) as progress:
        attested = attest_model(
            target,
            signer=signer.later(step_aside(progress)),
            scan=scan,
            report=report_file,
            conversions=conversions,
            test_result=compat == "test-result",
            signature=signature,
            claims=claims,
            sandbox=Sandbox(sandbox),
            progress=progress,
        )
    output.publish(lambda form, style: _json(attested) if form == "json" else _human(target, attested, style))
    return _exit(attested)


def _exit(attested: Attested) -> Exit:
    scan = attested.scan
    if scan is None or scan.result is Result.PASSED:
        return Exit.OK
    if scan.result is Result.FAILED or any(finding.severity.rank >= 2 for finding in scan.findings):
        return Exit.DENIED
    return Exit.OK if scan.complete else Exit.INCOMPLETE


def _json(attested: Attested) -> str:
    root = attested.manifest.root
    document = {
        "schema": "modelsign.attested/v1",
        "claims": attested.claims.name,
        "root": {root.algorithm: root.hex},
        "files": len(attested.manifest.files()),
        "statements": [
            {"type": statement.predicate_type, "predicate": dict(statement.predicate)}
            for statement in attested.statements
        ],
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _human(target: str, attested: Attested, style: Style) -> str:
    scan = attested.scan
    lines = []
    if not style.quiet:
        count = len(attested.statements)
        files = len(attested.manifest.files())
        lines = [
            f"Attested {target}: {count} statement{'' if count == 1 else 's'} about {files} files",
            *(f"  statement  {statement.predicate_type}" for statement in attested.statements),
            f"  root       {attested.manifest.root}",
            f"  claims     {attested.claims}",
        ]
    if scan is not None and (not style.quiet or scan.result is not Result.PASSED):
        complete = "complete" if scan.complete else "incomplete"
        lines.append(f"  scan       {scan.result.value}, {complete}, rule set {scan.scanner.ruleset}")
        lines += [
            f"  finding    {finding.rule} {finding.name} in {finding.file}: {finding.message}"
            for finding in scan.findings
            if finding.severity.rank >= 2
        ]
    return "".join(f"{plain(line)}\n" for line in lines)
