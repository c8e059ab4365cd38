"""Options and arguments that commands share, each written once: the same word means the same everywhere."""

from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.months import parse_month
from billing_pipeline.core.signature import Signature

Command = Callable[..., Any]


class Month(click.ParamType[date]):
    """A month, written as 2026-10."""

    name = "YYYY-MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The month's first day."""
        try:
            return parse_month(str(value))
        except UserError as error:
            self.fail(str(error), param, ctx)


class Instant(click.ParamType[datetime]):
    """An instant in ISO 8601 with an offset."""

    name = "INSTANT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant, never a local time without an offset."""
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r}: expected an ISO 8601 instant such as 2026-11-01T00:00:00Z", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r}: expected an offset, such as Z or +01:00", param, ctx)
        return instant


AUTHOR = click.option("--author", required=True, help="Who does it; kept in the audit log.")
REASON = click.option("--reason", required=True, help="Why; kept in the audit log.")
THE_MONTH = click.option("--month", type=Month(), required=True, help="The month, such as 2026-10.")
MONTH = click.option("--month", type=Month(), help="Only this month, such as 2026-10.")
CUSTOMER = click.option("--customer", metavar="ID", help="Only this customer.")
FILE = click.argument("file", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/commands.md has its shape.")
LIMIT = click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(min=1), help="At most so many; --json too."
)


def signed(command: Command) -> Command:
    """Options --author and --reason; the command takes them as one `signature`.

    Raises:
        UserError: when the command is called, if one of them is blank.
    """

    @wraps(command)
    def called(*args: Any, author: str, reason: str, **kwargs: Any) -> Any:
        return command(*args, signature=Signature(author, reason), **kwargs)

    return AUTHOR(REASON(called))
