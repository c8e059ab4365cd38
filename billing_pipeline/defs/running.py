"""Runs a month's jobs in this process, on the same instance that the UI shows. For the CLI, the demo and tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg

from billing_pipeline.defs.starters import STARTED_BY, started_in_this_process
from billing_pipeline.settings import SettingsError

__all__ = ["CUSTOMER", "HELD_BACK", "STARTED_BY", "RunOutcome", "charge_month", "run_customer", "run_month"]

STAGES = ("usage_snapshots", "invoice_line_items", "invoices", "stripe_charges")
"""What `billing run --through` takes; the last one also finalises and charges."""

CUSTOMER = "billing/customer"
"""Tag of a run of `bill_customer`: whose drafts it builds."""

HELD_BACK = "held back by "
"""How the failure of a charging run begins that did what it could and was kept from the rest by a brake."""

INTERRUPTED = "the run was interrupted before its end; the next one goes on from what was done"
"""Why a step failed whose process was told to end: Dagster says no more than the name of its error."""

BRAKES_CHECK = "no_brake_held_anything_back"
"""The check of `stripe_charges` whose metadata counts, by code, what each brake kept back."""

_IN_LOCATION = {".dagster/repository": "__repository__@billing_pipeline"}
"""Tag by which Dagster's UI shows a run under its job: the repository of workspace.yaml's location."""

_UP_TO = ("prices", "billing_periods", *STAGES[:-1])


@dataclass(frozen=True)
class RunOutcome:
    """How a job's run ended: its assets' metadata, the checks that failed, and the errors of failed steps."""

    job: str
    run_id: str
    success: bool
    metadata: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    is_held_back: bool = False
    """The run failed only because a brake waits for a person; all that could be done is done."""
    held_back: dict[str, int] = field(default_factory=dict)
    """Charges that a brake kept back, by its code; 0: it kept the month as a whole."""


def run_month(
    instance: dg.DagsterInstance,
    month: date,
    through: str = "stripe_charges",
    *,
    carry_forward: bool = False,
    as_of: str | None = None,
    charge_old_month: bool = False,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
) -> list[RunOutcome]:
    """Run `bill_month` up to `through`, then, if that passed and is wanted, `charge_month`: as the schedules would.

    `run_id`: the id that the first run gets; None: one of Dagster's making.
    """
    _require_partition(month)
    wanted: tuple[str, ...] = _UP_TO[: _UP_TO.index(through) + 1] if through in _UP_TO else _UP_TO
    if wanted == _UP_TO:
        wanted = (*_UP_TO, "billing_drift")
    config = {"ops": {"usage_snapshots": {"config": {"carry_forward": carry_forward, "as_of": as_of}}}}
    outcomes = [_execute(instance, "bill_month", month, wanted, config, tags, run_id)]
    if through == "stripe_charges" and outcomes[0].success:
        outcomes.append(charge_month(instance, month, charge_old_month=charge_old_month, tags=tags))
    return outcomes


def run_customer(
    instance: dg.DagsterInstance,
    month: date,
    customer: str,
    *,
    carry_forward: bool = False,
    as_of: str | None = None,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
) -> RunOutcome:
    """Run `bill_customer`: one customer's drafts of a month. Nobody is charged."""
    _require_partition(month)
    said = {"customer": customer, "carry_forward": carry_forward, "as_of": as_of}
    config = {"ops": {"draft_one_customer": {"config": said}}}
    return _execute(instance, "bill_customer", month, None, config, {CUSTOMER: customer, **(tags or {})}, run_id)


def _require_partition(month: date) -> None:
    from billing_pipeline.defs.resources import Billing

    _ = Billing().warehouse  # opening it notes the first month, with which the months of the next import begin
    from billing_pipeline.defs.partitions import MONTHS

    if not MONTHS.has_partition_key(month.isoformat()):
        first, last = MONTHS.get_first_partition_key(), MONTHS.get_last_partition_key()
        raise SettingsError(f"month {month:%Y-%m}: expected one from {str(first)[:7]} to {str(last)[:7]}")


def charge_month(
    instance: dg.DagsterInstance,
    month: date,
    *,
    charge_old_month: bool = False,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
) -> RunOutcome:
    """Run `charge_month`: finalise the drafts that stand and charge them."""
    config = {"ops": {"stripe_charges": {"config": {"charge_old_month": charge_old_month}}}}
    return _execute(instance, "charge_month", month, None, config, tags, run_id)


def _execute(
    instance: dg.DagsterInstance,
    job_name: str,
    month: date,
    assets: Sequence[str] | None,
    config: Mapping[str, Any],
    tags: Mapping[str, str] | None,
    run_id: str | None,
) -> RunOutcome:
    job = _definitions().resolve_job_def(job_name)
    with started_in_this_process((tags or {}).get(STARTED_BY)):
        result = job.execute_in_process(
            instance=instance,
            partition_key=month.isoformat(),
            asset_selection=[dg.AssetKey(asset) for asset in assets] if assets else None,
            run_config={**config, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={**_IN_LOCATION, **(tags or {})},
            run_id=run_id,
            raise_on_error=False,
        )
    reasons = [
        reason
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.STEP_FAILURE
        for reason in failure_reason(event)
    ]
    held = not result.success and bool(reasons) and all(reason.startswith(HELD_BACK) for reason in reasons)
    outcome = RunOutcome(job_name, result.run_id, result.success, errors=[] if held else reasons, is_held_back=held)
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            materialization = event.step_materialization_data.materialization
            outcome.metadata[materialization.asset_key.to_user_string()] = {
                name: value.value for name, value in materialization.metadata.items()
            }
    for evaluation in result.get_asset_check_evaluations():
        if evaluation.passed:
            continue
        if evaluation.check_name == BRAKES_CHECK:
            outcome.held_back.update(
                {code: each.value for code, each in evaluation.metadata.items() if isinstance(each.value, int)}
            )
        severe = evaluation.severity == dg.AssetCheckSeverity.ERROR
        (outcome.failed_checks if severe else outcome.warnings).append(check_line(evaluation))
    return outcome


def _definitions() -> dg.Definitions:
    """The code location. Dagster wraps a setting that cannot work in its own error: unwrapped, it is one clear line."""
    try:
        from billing_pipeline.definitions import defs
    except Exception as error:
        found: BaseException | None = error
        while found is not None:
            if isinstance(found, SettingsError):
                raise found from None
            found = found.__cause__ or found.__context__
        raise
    return defs


def check_line(evaluation: dg.AssetCheckEvaluation) -> str:
    """What a failed check has to say, in one line."""
    return evaluation.description or f"{evaluation.asset_key.to_user_string()}.{evaluation.check_name} failed"


def failure_reason(event: dg.DagsterEvent) -> list[str]:
    """Why a step failed, in one line at most; none where its failed checks say more."""
    failure = event.step_failure_data
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return [failure.user_failure_data.description]
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None or error.cls_name == "DagsterAssetCheckFailedError":
        return []  # the failed checks say more
    if error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
        return [INTERRUPTED]
    return [error.message.strip().splitlines()[0]]
