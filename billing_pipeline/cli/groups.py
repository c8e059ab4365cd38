"""Groups of commands: loaded when they are called, with help that is never cut, and a user's mistake as one line."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from billing_pipeline.cli.as_process import orderly
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.texts import shown

Sections = Mapping[str, Mapping[str, str]]
"""Heading of the help -> command -> `module:attribute` below billing_pipeline.cli."""


class Group(click.Group):
    """A group whose help prints the whole first sentence of each command, however wide the terminal is."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section."""
        self.write_section(ctx, formatter, "Commands", self.list_commands(ctx))

    def write_section(
        self, ctx: click.Context, formatter: click.HelpFormatter, heading: str, names: "list[str]"
    ) -> None:
        """Write these commands under a heading."""
        found = [(name, self.get_command(ctx, name)) for name in names]
        rows = [(name, _first_sentence(command)) for name, command in found if command and not command.hidden]
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)


class LazyGroup(Group):
    """A group that imports the module of a command when the command is called, or its help is asked for."""

    def __init__(self, *args: Any, sections: Sections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        self._targets = {name: target for section in sections.values() for name, target in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands, section by section."""
        return list(self._targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """The command, imported; None: there is none of this name."""
        target = self._targets.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(import_module(f"billing_pipeline.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section a heading."""
        for heading, commands in self.sections.items():
            self.write_section(ctx, formatter, heading, list(commands))


class Commands(LazyGroup):
    """The outermost group: turns the errors that a user or the server can cause into one line and exit status 1."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse bytes that are no UTF-8, which Python reads as halves of a pair, before anything works with them."""
        for arg in args:
            if any("\ud800" <= char <= "\udfff" for char in arg):
                raise click.UsageError(f'argument "{shown(arg)}": expected UTF-8')
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with orderly():
            try:
                return super().invoke(ctx)
            except UserError as error:
                raise click.ClickException(str(error)) from error
            except (click.ClickException, click.exceptions.Exit, click.Abort):
                raise
            except Exception as error:
                from billing_pipeline.postgres.errors import refusal

                reason = refusal(error)
                if reason is None:
                    raise
                raise click.ClickException(reason) from error


def _first_sentence(command: click.Command) -> str:
    text = " ".join((command.help or "").split("\n\n")[0].split())
    sentence, stop, _ = text.partition(". ")
    return sentence + stop.strip()
