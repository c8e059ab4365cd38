"""What an operator is told to do: commands that exist, and a page with a heading for the check."""

import re
import shlex
from datetime import date
from pathlib import Path

import click
import pytest

from billing_pipeline.cli import main
from billing_pipeline.gates.rules.gates import GATES
from billing_pipeline.gates.rules.remedies import REMEDIES, Remedy, page_of
from billing_pipeline.settings import ROOT

ALL = {**{f"{gate.asset}.{gate.name}": gate.remedy for gate in GATES}, **REMEDIES}
FILLED_IN = {
    "MONTH": "2026-10", "LAST_MONTH": "2026-09", "INSTANT": "2026-11-01T00:00:00Z", "DAY": "2026-10-20", "QUANTITY": "3", "FACTOR": "100", "CAP": "9",
    "FILE": "file.csv", "EVENT": "evt_1", "INVOICE": "INV-00000001", "REFUND": "re_1", "YOU": "ann", "WHY": "seen",
    "CUSTOMER": "0042", "METER": "calls", "NOTICE": "7", "DISPUTE": "du_1",
}  # fmt: skip


def _headings(page: Path) -> set[str]:
    """Anchors as GitHub makes them of a page's headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def _words(command: str) -> list[str]:
    """The command as a shell reads it, without the settings before it, and filled in as an operator would."""
    words = shlex.split(command)
    while "=" in words[0]:
        words = words[1:]
    filled_in = re.compile(r"\b(" + "|".join(FILLED_IN) + r")\b")
    return [filled_in.sub(lambda match: FILLED_IN[match[0]], word) for word in words]


@pytest.mark.parametrize("check", sorted({*REMEDIES, *(gate.name for gate in GATES)}))
def test_every_check_has_a_page_and_a_heading_that_are_there(check: str):
    path, _, heading = page_of(check).partition("#")
    assert heading in _headings(ROOT / path)


@pytest.mark.parametrize("remedy", ALL.values(), ids=list(ALL))
def test_every_command_of_a_remedy_exists_and_takes_these_arguments(remedy: Remedy):
    assert remedy.commands
    for command in remedy.commands_for(None):
        program, *arguments = _words(command)
        assert program == "billing", command
        found: click.Command = main
        context = click.Context(main)
        while isinstance(found, click.Group) and arguments and not arguments[0].startswith("-"):
            name, command_of_group, arguments = found.resolve_command(context, arguments)
            assert command_of_group is not None, command
            found, context = command_of_group, click.Context(command_of_group, parent=context, info_name=name)
        found.make_context(found.name, arguments, parent=context.parent)


def test_commands_name_the_month_in_question_and_the_one_before():
    told = Remedy("Look.", ("billing diff {last_month} {month}",))
    assert told.commands_for(date(2026, 1, 1)) == ("billing diff 2025-12 2026-01",)
    assert told.commands_for(None) == ("billing diff LAST_MONTH MONTH",)


def test_a_remedy_is_a_few_plain_sentences():
    for name, remedy in ALL.items():
        assert re.fullmatch(r"[A-Z].*[.]", remedy.what_to_do), name
        assert 40 < len(remedy.what_to_do) < 330, name
