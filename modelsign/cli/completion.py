"""`modelsign completion`: print the script that completes the command line in a shell."""

import click

from modelsign.cli.options import Verb


@click.command(
    cls=Verb,
    epilog='Bash: eval "$(modelsign completion bash)"  -  zsh: eval "$(modelsign completion zsh)"  -  '
    "fish: modelsign completion fish | source",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(*, shell: str) -> None:
    """Print the completion script for a shell, to be read at its start."""
    from click.shell_completion import get_completion_class

    from modelsign.cli.main import main

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "modelsign", "_MODELSIGN_COMPLETE").source())
