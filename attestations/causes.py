"""Why something failed, in a few words: network libraries wrap the one telling error in others that tell where."""


def cause_of(error: BaseException) -> str:
    """Return what the innermost of the errors that led to this one says, on one line."""
    innermost = error
    while (deeper := innermost.__cause__ or innermost.__context__) is not None:
        innermost = deeper
    if isinstance(innermost, OSError) and innermost.strerror:
        return innermost.strerror
    return first_line(innermost) or type(innermost).__name__


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, "" when it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else ""
