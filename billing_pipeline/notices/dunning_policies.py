"""Where the dunning policy is, and which retries it asks charging for."""

from pathlib import Path

from billing_pipeline.notices.rules.dunning_policy import Policy, PolicyWrong, read_policy
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


def retry_days(settings: Settings) -> tuple[int, ...]:
    """Days after a refusal on which a payment is tried again: BILLING_RETRY_DAYS, else as the policy says.

    Raises:
        PolicyWrong: the policy cannot be followed.
    """
    if settings.charging.retry_days is not None:
        return settings.charging.retry_days
    return load_policy(settings.notices.dunning_policy).retry_days
