"""`billing alerts`: what operators are told of, who has it, and from when on it is told."""

from typing import Any

import click

from billing_pipeline.cli.common import open_database
from billing_pipeline.cli.groups import Group
from billing_pipeline.cli.options import AUTHOR, CUSTOMER, JSON, LIMIT, signed
from billing_pipeline.cli.output import facts, instant, print_json, print_rows
from billing_pipeline.core.signature import Signature
from billing_pipeline.settings import load_settings

ALERT = click.argument("alert", type=int)
_COLUMNS = ("alert_id", "severity", "rule", "summary", "opened_at", "tellings", "acknowledged_by", "resolved_at")


@click.group(cls=Group)
def alerts() -> None:
    """What operators are told of: look, acknowledge, try."""


@alerts.command(name="list")
@click.option("--all", "over", is_flag=True, help="Also those that are over.")
@LIMIT
@JSON
def list_(over: bool, limit: int, as_json: bool) -> None:
    """Show alerts that are not over, the newest first."""
    from billing_pipeline.notices.alerts import list_alerts

    rows = list_alerts(open_database(), over=over, limit=limit)
    print_rows("alerts", rows, as_json=as_json, empty="nothing is wrong", columns=_COLUMNS)


@alerts.command()
@ALERT
@JSON
def show(alert: int, as_json: bool) -> None:
    """Show one alert, and what to do about it."""
    from billing_pipeline.notices.alerts import describe_alert

    row = describe_alert(open_database(), alert)
    if as_json:
        print_json(row)
        return
    commands = row.pop("commands")
    facts([(name, _shown(name, value)) for name, value in row.items() if value is not None])
    click.echo("\n".join(commands))


@alerts.command()
@ALERT
@signed
def acknowledge(alert: int, signature: Signature) -> None:
    """Take an alert on: it is told again only if it becomes worse. The pager hears of it."""
    from billing_pipeline.notices.alert_policies import load_alert_policy
    from billing_pipeline.notices.alerts import acknowledge as take_on
    from billing_pipeline.notices.alerts import audience_of

    settings = load_settings()
    audience = audience_of(settings, load_alert_policy(settings.alerts.policy))
    take_on(open_database(), audience, alert, signature)
    click.echo(f"alert {alert} is {signature.author}'s")


@alerts.command()
@JSON
def rules(as_json: bool) -> None:
    """Show the rules with the thresholds that hold, and whether each is on."""
    from billing_pipeline.notices.alert_policies import load_alert_policy

    policy = load_alert_policy(load_settings().alerts.policy)
    rows: list[dict[str, Any]] = []
    for name, said in policy.rules.items():
        thresholds = ", ".join(f"{key} {value}" for key, value in said.items() if key != "severity")
        state = "off" if name in policy.off else "on"
        rows.append({"rule": name, "state": state, "severity": said["severity"], "thresholds": thresholds})
    print_rows("rules", rows, as_json=as_json, empty="no rule")


@alerts.command()
@CUSTOMER
@LIMIT
@JSON
def usage(customer: str | None, limit: int, as_json: bool) -> None:
    """Show hours whose usage was unusual, the newest first."""
    from billing_pipeline.notices.usage_watch import list_unusual

    rows = list_unusual(open_database(), customer_id=customer, limit=limit)
    for row in rows:
        row["usual_quantity"], row["spreads"] = round(row["usual_quantity"], 2), round(row["spreads"], 1)
    print_rows("hours", rows, as_json=as_json, empty="nothing was unusual")


@alerts.command()
@CUSTOMER
@LIMIT
@JSON
def revenue(customer: str | None, limit: int, as_json: bool) -> None:
    """Show customers whose month comes to unusually much or little, the newest first."""
    from billing_pipeline.notices.revenue_watch import list_unusual_revenue

    rows = list_unusual_revenue(open_database(), customer_id=customer, limit=limit)
    for row in rows:
        row["spreads"] = round(row["spreads"], 1)
    print_rows("months", rows, as_json=as_json, empty="nothing was unusual")


@alerts.command()
def run() -> None:
    """Look now, and tell what is new; Dagster's sensor does the same each minute. For a cron beside a daemon."""
    from billing_pipeline.notices.alerting import alert_operators

    click.echo(str(alert_operators(open_database(), load_settings(), log=click.echo)))


@alerts.command()
@AUTHOR
def test(author: str) -> None:
    """Send a test to every channel, to see that it arrives."""
    from billing_pipeline.notices.alerting import try_alerts

    click.echo(str(try_alerts(open_database(), load_settings(), author, log=click.echo)))


def _shown(name: str, value: Any) -> Any:
    if name == "billing_month":
        return f"{value:%Y-%m}"
    return instant(value) if name.endswith("_at") else value
