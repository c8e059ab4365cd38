"""Where the dunning policy is, whether its names are known, and which retries it asks charging for."""

from pathlib import Path

from billing_pipeline.charging.follow_ups import RetryDays
from billing_pipeline.notices.rules.dunning_policy import Policy
from billing_pipeline.notices.rules.dunning_policy_file import PolicyWrong, read_policy
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

PACKAGED = Path(__file__).parent / "policies" / "default.yaml"


def load_policy(path: Path | None) -> Policy:
    """The policy of a file; None: the packaged one.

    Raises:
        PolicyWrong: there is no such file, or it cannot be followed.
    """
    file = path or PACKAGED
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise PolicyWrong(f"{file}: expected a dunning policy in YAML") from None
    return read_policy(text, file.name)


def retry_days(settings: Settings) -> RetryDays:
    """Days after a refusal on which a payment is tried again: BILLING_RETRY_DAYS, else as the refusal's course says.

    Raises:
        PolicyWrong: the policy cannot be followed.
    """
    for_all = settings.charging.retry_days
    if for_all is not None:
        return lambda _: for_all
    policy = load_policy(settings.notices.dunning_policy)
    return lambda refusal: policy.course_of(refusal).retry_days


def unknown_names(warehouse: Warehouse, policy: Policy) -> list[str]:
    """What courses ask for and nobody has, such as `course big customers: plan 'enterprise'`: they would never hold."""
    return [
        f"course {course.name}: {fact} {name!r}"
        for course in policy.courses
        for fact, names in sorted(course.when.items())
        if fact in _KNOWN
        for name in sorted(names - set(warehouse.rows(_KNOWN[fact], names=sorted(names))[0]["known"]))
    ]


_KNOWN = {
    "customer": "SELECT coalesce(array_agg(customer_id::text), '{}') AS known FROM billing.customers"
    " WHERE customer_id = ANY(:names)",
    "plan": "SELECT coalesce(array_agg(p.plan), '{}') AS known"
    " FROM (SELECT plan FROM billing.contracts UNION SELECT plan FROM billing.prices) AS p WHERE p.plan = ANY(:names)",
    "book": "SELECT coalesce(array_agg(currency::text), '{}') AS known FROM billing.price_books"
    " WHERE currency = ANY(:names)",
}
