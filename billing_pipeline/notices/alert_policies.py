"""Where the policy of alerts is."""

from pathlib import Path

from billing_pipeline.notices.rules.alert_policy import AlertPolicy, AlertPolicyWrong, read_alert_policy

PACKAGED = Path(__file__).parent / "policies" / "alerts.yaml"


def load_alert_policy(path: Path | None) -> AlertPolicy:
    """The packaged policy, with a company's own file laid over it.

    Raises:
        AlertPolicyWrong: there is no such file, or it cannot be followed.
    """
    packaged = PACKAGED.read_text(encoding="utf-8")
    if path is None:
        return read_alert_policy(packaged)
    try:
        own = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise AlertPolicyWrong(f"{path}: expected a policy of alerts in YAML") from None
    return read_alert_policy(packaged, own, path.name)
