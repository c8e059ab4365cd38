"""From when on operators are told, and by which channel: read from YAML, a company's own file laid over ours. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.plain_yaml import YamlWrong, read_yaml

SEVERITIES = ("critical", "warning")
CHANNELS = ("mail", "slack", "pagerduty")


class AlertPolicyWrong(UserError):  # noqa: N818 - reads as what happened
    """A policy that cannot be followed; the text names the place and what was expected."""


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """What holds. `rules`: name -> severity and thresholds; `off`: those of them that are switched off."""

    remind_after: timedelta
    calm: timedelta
    channels: Mapping[str, frozenset[str]]
    rules: Mapping[str, Mapping[str, Any]]
    off: frozenset[str]

    def severity(self, rule: str) -> str:
        """How bad it is. A rule without a row, which is a test, is a warning."""
        return str(self.rules[rule]["severity"]) if rule in self.rules else "warning"

    def threshold(self, rule: str, name: str) -> int:
        """A rule's threshold, in the unit that its name ends with."""
        return int(self.rules[rule][name])

    def parameters(self) -> Iterator[tuple[str, int | None]]:
        """`rule_threshold` -> its value, as a statement takes them."""
        for rule, said in self.rules.items():
            yield from ((f"{rule}_{name}", value) for name, value in said.items() if name != "severity")


def read_alert_policy(packaged: str, own: str | None = None, file: str = "alerts.yaml") -> AlertPolicy:
    """The packaged policy with a company's own laid over it.

    Args:
        packaged: YAML that has everything.
        own: YAML that has what is different; None: nothing is.
        file: the own one's name, for messages.

    Raises:
        AlertPolicyWrong: it cannot be followed.
    """
    ours: dict[str, Any] = read_yaml(packaged, "alerts.yaml")
    theirs = _parsed(own, file) if own is not None else {}
    if unknown := sorted(str(key) for key in set(theirs) - set(ours)):
        raise AlertPolicyWrong(f"{file}: {unknown[0]}: expected one of {', '.join(ours)}")
    periods = {name: _whole(theirs.get(name, ours[name]), f"{file}, {name}") for name in ("remind_after_h", "calm_min")}
    channels = ours["channels"] | _mapping(theirs, "channels", ours, file)
    for name, severities in channels.items():
        if not isinstance(severities, list) or not all(severity in SEVERITIES for severity in severities):
            raise AlertPolicyWrong(f"{file}, channels, {name}: expected a list of {' and '.join(SEVERITIES)}")
    rules, off = {}, set()
    own_rules = _mapping(theirs, "rules", ours, file)
    for name, known in ours["rules"].items():
        said = own_rules.get(name, {})
        if said is False or said == "off":
            off.add(name)
            said = {}
        rules[name] = _rule(name, known, said, file)
    return AlertPolicy(
        timedelta(hours=periods["remind_after_h"]),
        timedelta(minutes=periods["calm_min"]),
        {name: frozenset(severities) for name, severities in channels.items()},
        rules,
        frozenset(off),
    )


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        read = read_yaml(text, file)
    except YamlWrong as error:
        raise AlertPolicyWrong(str(error)) from None
    if not isinstance(read, dict):
        raise AlertPolicyWrong(f"{file}: expected remind_after_h, calm_min, channels and rules, as many as differ")
    return read


def _mapping(theirs: dict[str, Any], name: str, ours: dict[str, Any], file: str) -> dict[str, Any]:
    said = theirs.get(name, {})
    if not isinstance(said, dict):
        raise AlertPolicyWrong(f"{file}, {name}: expected names and values")
    if unknown := sorted(str(key) for key in set(said) - set(ours[name])):
        raise AlertPolicyWrong(f"{file}, {name}: {unknown[0]}: expected one of {', '.join(ours[name])}")
    return said


def _rule(name: str, known: dict[str, Any], said: Any, file: str) -> dict[str, Any]:
    if not isinstance(said, dict) or set(said) - set(known):
        raise AlertPolicyWrong(f"{file}, rules, {name}: expected off, or some of {', '.join(known)}")
    merged = known | said
    if merged["severity"] not in SEVERITIES:
        raise AlertPolicyWrong(f"{file}, rules, {name}: severity: expected {' or '.join(SEVERITIES)}")
    for threshold in set(merged) - {"severity"}:
        merged[threshold] = _whole(merged[threshold], f"{file}, rules, {name}, {threshold}")
    return merged


def _whole(value: Any, place: str) -> int:
    if type(value) is not int or not 0 <= value <= 100_000:
        raise AlertPolicyWrong(f"{place}: {value!r}: expected a whole number from 0 to 100000")
    return value
