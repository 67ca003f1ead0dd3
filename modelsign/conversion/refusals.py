"""Refusals that a caller treats differently; all of them are `ConversionError`.

ConversionError
├── NoTensorsError        a checkpoint or pickle without anything that could become a tensor
├── NoPickleError         refused, and without any pickle in it
└── UnknownFormatError    no kind of checkpoint that we know
"""

from modelsign.errors import ConversionError


class NoTensorsError(ConversionError):
    """A checkpoint or pickle without anything that could become a tensor."""


class NoPickleError(ConversionError):
    """Refused, and without any pickle in it: where a directory is converted, it may be copied as it is."""


class UnknownFormatError(ConversionError):
    """No kind of checkpoint that we know."""


KINDS: dict[str, type[ConversionError]] = {
    kind.__name__: kind for kind in (ConversionError, NoTensorsError, NoPickleError, UnknownFormatError)
}
"""by the names under which a worker reports them"""
