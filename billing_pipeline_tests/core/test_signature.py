"""Who did something, and why."""

import pytest

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature, required_author


def test_a_signature_is_kept_without_blanks_around_it() -> None:
    assert Signature(" ann ", "\tmeter was stuck\n") == Signature("ann", "meter was stuck")
    assert required_author(" ann ") == "ann"


@pytest.mark.parametrize(
    ("author", "reason", "said"),
    [
        (" ", "r", 'author "": expected a text, for the audit log'),
        ("ann", "", 'reason "": expected a text, for the audit log'),
        ("a\0n", "r", 'author "a\\x00n": expected a text, for the audit log'),
        ("ann", "a\x1b[2Jb", 'reason "a\\x1b[2Jb": expected a text, for the audit log'),
        ("ann", "\ud800", 'reason "\\ud800": expected a text, for the audit log'),
        ("ann", "r" * 2001, f'reason "{"r" * 80}": expected a text of at most 2,000 characters, for the audit log'),
    ],
)
def test_a_signature_without_author_or_reason_is_refused_in_one_line(author: str, reason: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        Signature(author, reason)
    assert str(caught.value) == said


def test_an_author_alone_is_not_blank_either() -> None:
    with pytest.raises(UserError, match='author "": expected a text, for the audit log'):
        required_author(" ")


def test_lines_of_a_form_are_lines_of_the_log() -> None:
    assert Signature("ann", "billed twice\r\nby us").reason == "billed twice\nby us"


@pytest.mark.parametrize("text", ["\u200b", "\u3164 \u00a0", "\u0301"])
def test_an_author_or_reason_of_which_nothing_can_be_seen_is_refused(text: str) -> None:
    for author, reason in (("ann", text), (text, "billed twice")):
        with pytest.raises(UserError, match="expected a text, for the audit log"):
            Signature(author, reason)
