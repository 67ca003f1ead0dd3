"""A checkpoint whose pickle would call something dangerous is refused, whatever weights it carries.

Converting it would harm nobody, for nothing is executed. But a file that was made to harm is no source to take weights
from, and a user who sees it converted would take it for sound.
"""

from modelsign.errors import ConversionError
from scanners.knowledge.tables import Standing, judge
from scanners.pickles.machine import PickleRun


def refuse_dangerous(result: PickleRun, what: str) -> None:
    """Refuse a pickle that names a dangerous callable.

    Raises:
        ConversionError: naming the callable, its place and the way out.
    """
    for name in result.imports:
        judgement = judge(name.dotted)
        if judgement.standing is Standing.DANGEROUS:
            raise ConversionError(
                f"{what}: refers to {name.dotted} at byte {name.offset}, which is dangerous ({judgement.reason}); "
                "`modelsign scan` shows the whole of it. Do not load this file; get the weights from its author anew"
            )
