"""How a sensor asks for a run when a queue in Postgres has something due: one at a time, and again if one died."""

import dagster as dg

_UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def ask_for_run(
    instance: dg.DagsterInstance, job_name: str, count: int, due: str, nothing: str
) -> dg.RunRequest | dg.SkipReason:
    """A run of the job, under another key than the newest one's: a run that died is followed by another.

    Args:
        instance: where runs are.
        job_name: the job.
        count: how many are due.
        due: what is due, in the words of a page: `notices are due`.
        nothing: why there is no run when nothing is.
    """
    if not count:
        return dg.SkipReason(nothing)
    if instance.get_runs_count(dg.RunsFilter(job_name=job_name, statuses=_UNDER_WAY)):
        return dg.SkipReason(f"{count:,} {due}, and a run is at work")
    newest = instance.get_run_records(dg.RunsFilter(job_name=job_name), limit=1)
    return dg.RunRequest(run_key=f"after:{newest[0].dagster_run.run_id if newest else 'none'}")
