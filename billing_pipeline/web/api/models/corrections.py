"""What listings of corrections and alerts show: rows as the commands' --json has them (docs/commands.md)."""

from typing import Any

from billing_pipeline.web.api.fields import shown

Json = dict[str, Any]
Settlement = shown(
    "Settlement",
    "A settlement, as `billing settle show --json` has it.",
    settlement=(Json, "With its lines as they were when it was proposed.", {"settlement_id": 1, "lines": []}),
)
CustomerCredits = shown(
    "CustomerCredits",
    "A customer's prepaid credits, as `billing credits show --json` has them.",
    balances=(list[Json], "By currency.", [{"currency": "usd"}]),
    entries=(list[Json], "The ledger, the oldest first.", [{"kind": "grant"}]),
)
Refunds = shown(
    "Refunds",
    "Refunds that failed, as `billing credit refunds --json` has them.",
    refunds=(list[Json], "Those that wait for a person first.", [{"refund_id": "re_1", "state": "open"}]),
)
Disputes = shown(
    "Disputes",
    "Disputes of payments, as `billing disputes list --json` has them.",
    disputes=(list[Json], "Those that wait for a person first.", [{"dispute_id": "du_1", "status": "lost"}]),
)
Holds = shown(
    "Holds",
    "What is kept back, as `billing hold list --json` has it.",
    holds=(list[Json], "The oldest first.", [{"kind": "customer", "subject": "cust_focus"}]),
)
Alert = shown(
    "Alert",
    "An alert, as `billing alerts show --json` has it.",
    alert=(Json, "With what to do about it, and the commands.", {"alert_id": 1, "what_to_do": "…", "commands": []}),
)
