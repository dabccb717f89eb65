"""`longtask completion`."""

import click
from click.shell_completion import get_completion_class

from longtask_cli.problem import Problem

VARIABLE = "_LONGTASK_COMPLETE"
"""Click completes when this is set."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell: commands, options, and the names of tasks and templates.

    \b
    bash   source <(longtask completion bash)         in ~/.bashrc
    zsh    source <(longtask completion zsh)          in ~/.zshrc, after compinit
    fish   longtask completion fish | source          in ~/.config/fish/config.fish

    For `kubectl longtask`, kubectl's own completion is enough: it calls kubectl_complete-longtask.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise Problem(f"there is no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, "longtask", VARIABLE).source())
