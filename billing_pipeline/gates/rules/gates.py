"""The data-quality gates as data: what is expected of a month's rows, and whether charging needs it.

The statements behind `NoRows` are in sql/gates/<name>.sql and return the rows that fail. The blocking ones
are also in billing.required_gates, where finalisation looks; a test holds the two lists together.
"""

from billing_pipeline.gates.rules.gate import Gate
from billing_pipeline.gates.rules.invoice_gates import INVOICE_GATES
from billing_pipeline.gates.rules.line_gates import LINE_GATES
from billing_pipeline.gates.rules.snapshot_gates import SNAPSHOT_GATES

GATES: tuple[Gate, ...] = (*SNAPSHOT_GATES, *LINE_GATES, *INVOICE_GATES)


def gates_of(asset: str) -> tuple[Gate, ...]:
    """The gates of one asset, in the order in which operators read them."""
    return tuple(gate for gate in GATES if gate.asset == asset)
