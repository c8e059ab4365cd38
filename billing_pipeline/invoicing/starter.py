"""Who stands behind a run that finalises. What proves it is for the doors to say."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Starter:
    """Who started a run.

    `kind`: person (a command of this process, signed by `name`), schedule (a schedule or sensor that Dagster's own
    records name), unknown (somebody at a webserver; a tag may claim a name, and anybody can write a tag). Where
    approvals are needed, a person's run needs somebody else's, a schedule's one, an unknown one's those of two people.
    """

    kind: Literal["person", "schedule", "unknown"]
    name: str


UNKNOWN = Starter("unknown", "unknown")
