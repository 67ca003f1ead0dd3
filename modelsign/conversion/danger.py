"""A checkpoint whose pickle would do something dangerous is refused, whatever weights it carries.

Converting it would harm nobody, for nothing is executed. But a file that was made to harm is no source to take weights
from, and a user who sees it converted would take it for sound. The scanner's own rules judge: what `modelsign scan`
calls malicious is refused here; what it merely does not know is kept inert.
"""

from modelsign.errors import ConversionError
from scanners.findings import Severity
from scanners.limits import Budget
from scanners.pickles.machine import PickleRun
from scanners.pickles.witness import bear_witness_of_calls
from scanners.reader import Reader
from scanners.reading import Blob, FileFacts, Reading
from scanners.rules.file import pickles

_LONGEST = 200


def refuse_dangerous(result: PickleRun, reader: Reader, what: str) -> None:
    """Refuse a pickle that calls or names what is dangerous, directly or through others.

    Args:
        result: the run of the pickle.
        reader: its input.
        what: the pickle, for the message.

    Raises:
        ConversionError: naming the callable, its place and the way out.
    """
    reading = Reading(blob=Blob(reader=reader, name=what), budget=Budget())
    bear_witness_of_calls(result, reader, reading)
    facts = FileFacts(path=what, formats=("pickle",), facts=tuple(reading.facts))
    worst = max(pickles.judge(facts), key=lambda finding: finding.severity.rank, default=None)
    if worst is not None and worst.severity >= Severity.HIGH:
        evidence = f": {worst.evidence[:_LONGEST]}" if worst.evidence else ""
        raise ConversionError(
            f"{what}, byte {worst.location.offset}: dangerous: {worst.message}{evidence} ({worst.rule.id}, see "
            "`modelsign scan`); do not load this file, get the weights from their author anew"
        )
