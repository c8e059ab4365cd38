"""What a gate is: a rule on the rows of a month, what is expected of them in words, and whether charging needs it."""

from dataclasses import dataclass

from billing_pipeline.gates.rules.remedies import Remedy


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows share these columns."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotNull:
    """None of these columns is null."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotNegative:
    """None of these columns is below zero."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoRows:
    """sql/gates/<gate name>.sql returns nothing."""


Rule = Unique | NotNull | NotNegative | NoRows


@dataclass(frozen=True, slots=True)
class Gate:
    """One check of one asset's month. A gate that does not block only warns."""

    asset: str
    name: str
    rule: Rule
    expectation: str
    remedy: Remedy
    """What an operator does when it fails."""
    blocking: bool = True
