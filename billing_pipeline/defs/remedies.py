"""How Dagster's pages tell an operator what to do about a check: in its description, and beside a failing result."""

from datetime import date
from typing import Any

import dagster as dg

from billing_pipeline.gates.rules.remedies import REMEDIES, Remedy, page_of


def described(name: str, expectation: str, remedy: Remedy | None = None) -> str:
    """A check's description: what is expected, what to do if it fails, the commands, and the page."""
    remedy = remedy or REMEDIES[name]
    commands = "; ".join(f"`{command}`" for command in remedy.commands_for(None))
    return f"{expectation} **If it fails:** {remedy.what_to_do} {commands}. More in `{page_of(name)}`."


def check(name: str, expectation: str, *, asset: str, **more: Any) -> dg.AssetCheckSpec:
    """A check that is no gate, with its remedy in its description."""
    return dg.AssetCheckSpec(name, asset=asset, description=described(name, expectation), **more)


def what_to_do(name: str, month: date | None = None, remedy: Remedy | None = None) -> dict[str, dg.MetadataValue]:
    """Metadata of a failing result: what to do, the commands for the month, and the page.

    Args:
        name: the check.
        month: the month that was checked; None: the check looks at all of them.
        remedy: a gate's; the other checks have theirs in REMEDIES.
    """
    remedy = remedy or REMEDIES[name]
    commands = "\n".join(remedy.commands_for(month))
    return {
        "what_to_do": dg.MetadataValue.md(f"{remedy.what_to_do}\n\n```sh\n{commands}\n```"),
        "page": dg.MetadataValue.path(page_of(name)),
    }
