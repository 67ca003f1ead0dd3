"""What can go wrong in the tool itself; errors of `scanners` and `attestations` keep their own trees.

ModelsignError
├── UsageError           an option, a configuration or their combination makes no sense
├── SourceError          a file, a repository or the network could not be read or written
├── NothingToDo          the target matched nothing
├── ConversionError      a checkpoint that cannot be converted safely was refused
└── PolicyError          a policy or trust file is malformed, expired or unusable
"""


class ModelsignError(Exception):
    """Root of the errors of this package."""


class UsageError(ModelsignError):
    """An option, a configuration or their combination makes no sense."""


class SourceError(ModelsignError):
    """A file, a repository or the network could not be read or written."""


class NothingToDo(ModelsignError):  # noqa: N818 - it says what happened
    """The target matched nothing."""


class ConversionError(ModelsignError):
    """A checkpoint that cannot be converted safely was refused."""


class PolicyError(ModelsignError):
    """A policy or trust file is malformed, expired or unusable."""
