"""The figures as people read them."""

from typing import Any

from billing_pipeline.sandbox.bench.month import LONG_HISTORY, SHORT_HISTORY


def table(figures: dict[str, Any]) -> str:
    """All that was measured."""
    lines = [f"{'':22}{'rows':>10}{'seconds':>10}{'rows/s':>10}{'MiB':>8}{'COPY s':>10}{'ratio':>8}{'again s':>10}"]
    for asset, figure in figures["assets"].items():
        line = f"{asset:22}{figure['rows']:>10,}{figure['seconds']:>10.2f}{figure['rows_per_s']:>10,}"
        line += f"{figure['peak_rss_mib']:>8,}"
        if asset in figures["floor"]:
            floor = figures["floor"][asset]["seconds"]
            line += f"{floor:>10.2f}{figure['seconds'] / floor:>8.2f}{figures['again_seconds'][asset]:>10.2f}"
        lines.append(line)
    lines += [
        "",
        f"snapshots + lines + drafts: {figures['ratio_to_floor']} times COPY of the same rows",
        f"gates: {figures['gates_seconds']:.2f} s, {figures['gates_failed']} failed",
        f"a loop over customers: {figures['loop_rows_per_s']:,} lines/s",
        f"time a customer, against {figures['small_customers']:,} customers: {figures['linear_ratio']}",
        f"time with a tenth of the customers on terms, against none: {figures['ratio_with_terms']}",
        f"time after {LONG_HISTORY} months of history, against {SHORT_HISTORY}: {figures['flat_in_history_ratio']}",
    ]
    lines += charging_table(figures["charging"])
    lines += notices_table(figures["notices"])
    for name, told in (("receiver", "webhook receiver"), ("insert", "the same INSERT"), ("empty_endpoint", "no work")):
        figure = figures["webhooks"][name]
        lines.append(f"{told}: {figure['requests_per_s']:,} requests/s, p99 {figure['p99_ms']} ms")
    return "\n".join(lines)


def charging_table(figures: dict[str, Any]) -> list[str]:
    """Calls an invoice, and the share of the allowed rate."""
    calls, of_events = figures["calls_per_invoice"], figures["event_calls_per_invoice"]
    shares = ", ".join(f"{share:.1%} at {ms} ms" for ms, share in figures["share_of_allowed_rate"].items())
    return [
        f"charging {figures['invoices']:,} invoices: {calls} calls each, {of_events} for the events of each",
        f"of the allowed creations a second, by latency: {shares}",
        f"at the shortest, while {figures['mails_meanwhile']:,} mails went out: {figures['share_while_mailing']:.1%}",
    ]


def notices_table(figures: dict[str, Any]) -> list[str]:
    """Mails a second, and what was found of unusual usage."""
    mails = figures["mails"]
    lines = [
        f"mails: {mails['notices']:,} over one connection, {mails['per_s']}/s, {mails['cpu_ms_a_mail']} ms of CPU each",
        f"progress of the mails: {mails['progress']} lines said how far it was",
    ]
    if "charging" in figures:
        beside = figures["charging"]
        [without] = beside["share_of_allowed_rate"].values()
        lines.append(
            f"charging, of the allowed creations: {without:.1%} without mails,"
            f" {beside['share_while_mailing']:.1%} while {beside['mails_meanwhile']:,} mails went out"
        )
    for what, unit in (("usage", "hours"), ("amounts", "months")):
        found = figures[f"unusual_{what}"]
        right = f"{found['spikes_found']} spikes and {found['drops_found']} drops found of {found['injected']}"
        wrong = f"{found['false_alarms']} false alarms in {found[f'judged_{unit}']:,} {unit}"
        lines.append(f"unusual {what}: {right}, recall {found['recall']}, {wrong}")
    return lines
