"""What a comparison of two months says: on a terminal, and as JSON. How it comes about is in `comparison`."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from billing_pipeline.cli.output import print_json
from billing_pipeline.comparison.rules.month_diff import CAUSES, Difference, Waterfall
from billing_pipeline.core.money import format_minor

if TYPE_CHECKING:
    from billing_pipeline.comparison.html import Comparison

LINES_SHOWN = 40


def print_comparison(
    falls: Sequence[Waterfall], names: tuple[str, str], comparison: "Comparison", problems: Sequence[str]
) -> None:
    """All of it, in the shape that docs/commands.md promises."""
    print_json(
        {
            "title": comparison.title,
            "notes": list(comparison.notes),
            "revenue": [
                {
                    "currency": fall.currency,
                    "from": names[0],
                    "to": names[1],
                    "before_minor": fall.before_minor,
                    "after_minor": fall.after_minor,
                    "causes": [
                        {"cause": cause, "amount_minor": fall.causes[cause]} for cause in CAUSES if fall.causes[cause]
                    ],
                }
                for fall in falls
            ],
            "differences": [
                {
                    "customer_id": each.customer_id,
                    "meter": each.meter,
                    "dimensions": json.loads(each.dimensions),
                    "kind": each.kind,
                    "currency": each.currency,
                    "before_minor": each.before_minor,
                    "after_minor": each.after_minor,
                    "difference_minor": each.difference_minor,
                    "causes": [
                        {"cause": cause, "amount_minor": amount}
                        for cause in CAUSES
                        if (amount := getattr(each, f"{cause}_minor"))
                    ],
                }
                for each in comparison.found
            ],
            "unexplained": list(problems),
        }
    )


def say_waterfalls(falls: Sequence[Waterfall], names: tuple[str, str]) -> None:
    """A line a currency: from what to what, and by which causes."""
    for fall in falls:
        steps = ", ".join(
            f"{cause} {_signed(fall.causes[cause], fall.currency)}" for cause in CAUSES if fall.causes[cause]
        )
        click.echo(
            f"{names[0]} {format_minor(fall.before_minor, fall.currency)} -> {names[1]}"
            f" {format_minor(fall.after_minor, fall.currency)}: {steps or 'no change'}"
        )


def say_lines(title: str, found: Sequence[Difference]) -> None:
    """A line a customer and one below it for each of its lines that differ, as many as fit a screen."""
    click.echo(f"{title}: {len(found)} line(s) differ")
    customer = None
    for each in found[:LINES_SHOWN]:
        if customer != (each.currency, each.customer_id):
            customer = (each.currency, each.customer_id)
            own = [d for d in found if (d.currency, d.customer_id) == customer]
            click.echo(f"  {each.customer_id}  {_signed(sum(d.difference_minor for d in own), each.currency)}")
        before, after = (format_minor(amount, each.currency) for amount in (each.before_minor, each.after_minor))
        values = ", ".join(str(value) for value in json.loads(each.dimensions).values())
        causes = [
            f"{cause} {_signed(amount, each.currency)}"
            for cause in CAUSES
            if (amount := getattr(each, f"{cause}_minor"))
        ]
        click.echo(
            f"    {each.meter}{f' ({values})' if values else ''}{'' if each.kind == 'usage' else f' {each.kind}'}:"
            f" {before} -> {after}  ({', '.join(causes)})"
        )
    if len(found) > LINES_SHOWN:
        click.echo(f"  … and {len(found) - LINES_SHOWN} more; --csv, --parquet and --html have all of them")


def _signed(amount_minor: int, currency: str) -> str:
    return f"{'+' if amount_minor > 0 else ''}{format_minor(amount_minor, currency)}"
