"""What texts may hold, e-mail addresses, and YAML beside the price book."""

import pytest

from billing_pipeline.core.email_addresses import is_email
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.plain_yaml import TEXT_MAX, YamlWrong, read_yaml
from billing_pipeline.core.texts import has_unseen_ends, is_blank, one_line

UNSEEN = ["", " ", "\u00a0", "\u200b\u200d", "\u3164", "\u2800", "\ufeff", "\u202e", "\u0301", "\u115f \u1160"]


@pytest.mark.parametrize("text", UNSEEN)
def test_nothing_of_it_can_be_seen(text: str) -> None:
    assert is_blank(text)
    with pytest.raises(UserError, match=r"description .*characters that can be seen"):
        one_line("description", text)


@pytest.mark.parametrize("text", ["a", "é", "e\u0301", "👩\u200d🔬", "中", "\u0645\u06cc\u200c\u062e", ".", "ﷺ"])
def test_writing_of_any_kind_can_be_seen(text: str) -> None:
    assert not is_blank(text)
    assert not has_unseen_ends(text)
    assert one_line("description", f" {text}\n") == text


@pytest.mark.parametrize("text", [" a", "a\u200b", "\ufeffa", "a\u00a0", "\u3164a"])
def test_an_end_that_cannot_be_seen(text: str) -> None:
    assert has_unseen_ends(text)


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "a\x00b", "a\x9fb", "a\ud800", "x" * 501])
def test_a_line_is_short_and_has_no_control_characters(text: str) -> None:
    with pytest.raises(UserError) as caught:
        one_line("description", text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["billing@example.com", "a.b+c@mail.example.co.uk", "x_y@xn--bcher-kva.example", "o'hara@example.org"]
)
def test_addresses_of_mail(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "nobody", "a@b", "a@b@example.com", "a b@example.com", "a@example.com ", "Ann <a@example.com>", ".a@example.com",
        "a..b@example.com", "a@-example.com", "a@example..com", "a@example.com\n", "a@[127.0.0.1]", "a@localhost",
        "a@host.local", "müller@example.com", "a@bücher.example", "a@exa\u200bmple.com", "x" * 65 + "@example.com",
        '"a b"@example.com', "a@example.com,b@example.com", "a@exam_ple.com", "a\ud800@example.com",
    ],
)  # fmt: skip
def test_no_addresses_of_mail(text: str) -> None:
    assert not is_email(text)


BILLION = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BILLION, r"p.yaml, line 2: expected the values themselves and no alias"),
        ("a: &a [*a]", "no alias"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", "line 3: .*no alias"),
        ('a:\n  b: "x\\0y"\n', "line 2: expected a text without control characters"),
        ('a: "\\ud800"', "control characters"),
        ("a: b\x07", "p.yaml: "),
        ("a: [", "p.yaml: "),
        ("a: !!python/object:os.system {}", "p.yaml: "),
        ("a: 2026-13-45", "p.yaml: "),
        ("a: " + "9" * 5000, "p.yaml: "),
        ("{[a]: b}", "p.yaml: "),
        ("[" * 5000 + "]" * 5000, "less deeply nested"),
        ("x" * (TEXT_MAX + 1), "at most"),
    ],
)
def test_yaml_that_does_harm_is_one_line(text: str, expected: str) -> None:
    with pytest.raises(YamlWrong, match=expected) as caught:
        read_yaml(text, "p.yaml")
    assert str(caught.value).startswith("p.yaml")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_yaml_of_plain_values_is_read() -> None:
    assert read_yaml("a: 1\nb: [x, 2.5]\nc: |\n  two\n  lines\n", "p.yaml") == {
        "a": 1,
        "b": ["x", 2.5],
        "c": "two\nlines\n",
    }
