"""Words: every kind in every language, and a company's own before the package's."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

import billing_pipeline.notices
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.notice_kinds import KINDS
from billing_pipeline.notices.letters import Notice, write_letter
from billing_pipeline.notices.rules.kinds import SHOWS_INVOICE
from billing_pipeline.notices.trying import SAMPLE, check_words, preview
from billing_pipeline.notices.wording import Wording
from billing_pipeline.settings import load_settings
from billing_pipeline.settings.environment import SettingsError
from billing_pipeline_tests.month_rows import add_customer

NOTICE = Notice(
    17, "payment_failed", "payment_failed:x", "ann@example.com", SAMPLE, datetime(2026, 11, 2, tzinfo=UTC), "0042", "Ann",
    "en", "UTC",
)  # fmt: skip


def wording(folder: Path | None = None) -> Wording:
    return Wording(folder, "en", "Lyceum", "https://portal.example.com/pay?a=1&b=2")


def said(**changes: object) -> str:
    return wording().words(replace(NOTICE, **changes)).text  # type: ignore[arg-type]


def test_every_kind_is_written_in_every_language_with_all_facts_and_with_few():
    rendered, problems = check_words(wording())
    assert problems == []
    assert rendered == len(KINDS) * 3 * 2


def test_no_language_lacks_a_kind_a_label_or_a_reason_that_english_has():
    folder = Path(billing_pipeline.notices.__path__[0])
    read = {path.stem: yaml.safe_load(path.read_text()) for path in (folder / "words").glob("*.yaml")}
    assert sorted(read) == ["ar", "de", "en"]
    for words in read.values():
        assert list(words["kinds"]) == list(KINDS)
        for part in ("labels", "reasons", "states", "details"):
            assert list(words[part]) == list(read["en"][part])
        for kind, texts in words["kinds"].items():
            assert {key: texts.get(key) for key in ("rows", "action")} == {
                key: read["en"]["kinds"][kind].get(key) for key in ("rows", "action")
            }


@pytest.mark.parametrize(
    ("language", "currency", "shown"),
    [
        ("en", "usd", "$1,010.00"),
        ("de", "eur", "1.010,00\xa0€"),
        ("en", "jpy", "¥101,000"),
        ("en", "bhd", "BHD\xa0101.000"),
        ("en", "isk", "ISK\xa01,010"),
    ],
)
def test_amounts_are_written_as_the_language_does_with_the_digits_of_the_currency(language, currency, shown):
    facts = SAMPLE | {"currency": currency, "due_minor": 101000}
    assert shown in said(language=language, facts=facts)


def test_days_are_written_as_the_language_does():
    assert "2026年" not in said()
    assert "Oct\xa01" in said().replace("Oct 1", "Oct\xa01")
    assert "1. Dezember 2026" in said(kind="final_notice", language="de-CH")


def test_a_mail_links_what_is_there_and_nothing_else():
    page, pdf = "https://invoice.stripe.com/i/a?b=1&c=2", "https://pay.stripe.com/invoice/a/pdf"
    for kind in KINDS:
        words = wording().words(replace(NOTICE, kind=kind, page_url=page, pdf_url=pdf))
        shows = kind in SHOWS_INVOICE
        assert (page in words.text, page.replace("&", "&amp;") in words.html, pdf in words.html) == (shows,) * 3, kind
        assert "stripe.com" not in wording().words(replace(NOTICE, kind=kind)).html
    without_portal = Wording(None, "en", "Lyceum", None)
    assert f"payment method: {page}" in without_portal.words(replace(NOTICE, page_url=page)).text
    assert "http" not in without_portal.words(NOTICE).text


def test_no_mail_asks_another_host_for_anything():
    html = Wording(None, "en", "Lyceum", None).words(NOTICE).html
    assert set(re.findall(r"https?://([^/\"]+)", html)) == {"www.w3.org"}


def test_an_unknown_language_is_the_companys():
    assert said(language="xx").startswith("Hello Ann,")
    assert Wording(None, "de", "L", None).words(replace(NOTICE, language=None)).language == "de"


def test_arabic_is_written_from_right_to_left_with_numbers_set_apart():
    words = wording().words(replace(NOTICE, language="ar"))
    assert 'dir="rtl"' in words.html
    assert "\u2068INV-00000042\u2069" in words.text


def test_a_name_is_text_and_nothing_else():
    name = 'Ann <script>x</script>\r\nBcc: eve@example.com\u202e" {{ 7 * 7 }}'
    words = wording().words(replace(NOTICE, customer_name=name))
    assert "<script>" not in words.html
    assert "49" not in words.text.split("\n")[0]
    assert "\u202e" not in words.text + words.html
    letter = write_letter(replace(NOTICE, customer_name=name), words, "billing@example.com", NOTICE.written_at)
    assert b"\nBcc:" not in letter.content
    assert all(len(line) <= 998 for line in letter.content.split(b"\r\n"))


def test_a_companys_words_come_first_kind_by_kind_and_bring_languages(tmp_path):
    (tmp_path / "en.yaml").write_text('kinds: {payment_failed: {subject: "Oh no, {{ number }}"}}', encoding="utf-8")
    (tmp_path / "fr.yaml").write_text("greeting: Bonjour,", encoding="utf-8")
    (tmp_path / "layout.txt.j2").write_text("OUR LAYOUT {{ body[0] }}", encoding="utf-8")
    own = wording(tmp_path)
    assert own.words(NOTICE).subject == "Oh no, INV-00000042"
    assert own.words(NOTICE).text.startswith("OUR LAYOUT We could not collect")
    assert own.words(replace(NOTICE, kind="refund_failed")).subject.startswith("Your refund")
    assert own.words(replace(NOTICE, language="fr")).language == "fr"
    assert check_words(own)[1] == []


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        (
            "en.yaml",
            "kinds: {payment_failed: {subject: '{{ nmber }}'}}",
            "en.yaml, payment_failed: 'nmber' is undefined",
        ),
        ("en.yaml", "kinds: {payment_failed: {subject: '{% if %}'}}", "en.yaml, payment_failed"),
        ("en.yaml", "kinds: [", "en.yaml: while parsing"),
        ("en.yaml", "- a list", "en.yaml: expected labels"),
        ("klingon.yaml", "greeting: x", "klingon.yaml: expected the name of a language"),
        ("layout.mjml.j2", "<mjml><mj-body><mj-nothing></mjml>", "en.yaml"),
        ("layout.txt.j2", "{{ ''.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_mistake_in_a_companys_words_names_the_file_and_the_kind(tmp_path, file, text, named):
    (tmp_path / file).write_text(text, encoding="utf-8")
    try:
        problems = check_words(wording(tmp_path))[1]
    except UserError as error:
        problems = [str(error)]
    assert any(named in problem for problem in problems), problems


def test_a_preview_has_the_customers_words(warehouse):
    add_customer(warehouse, "ann", name="Ann Ltd", currency="eur", language="de")
    words = preview(warehouse, wording(), "final_notice", "ann")
    assert "Guten Tag Ann Ltd" in words.text
    assert "1.000,00\xa0€" in words.text
    with pytest.raises(UserError, match="found none"):
        preview(warehouse, wording(), "final_notice", "nobody")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"BILLING_SMTP_URL": "http://x"}, "expected smtps://"),
        ({"BILLING_SMTP_URL": "smtps://user:pa55word@mail.example.com:x"}, "not a URL"),
        ({"BILLING_SMTP_URL": "smtp+plain://user:pa55word@mail.example.com"}, "a server on this machine"),
        ({"BILLING_SMTP_URL": "smtps://user@mail.example.com"}, "a user and a password"),
        ({"BILLING_SMTP_URL": "smtps://user:pa55word@mail.example.com"}, "BILLING_MAIL_FROM"),
        ({"BILLING_MAIL_FROM": "nobody"}, "expected an address"),
        ({"BILLING_NOTICE_TEMPLATES": "/nowhere"}, "expected a folder"),
        ({"BILLING_PORTAL_URL": "javascript:x"}, "expected an https"),
    ],
)
def test_a_mistake_in_a_setting_is_one_line_without_the_password(monkeypatch, values, named):
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=named) as refused:
        load_settings()
    assert "pa55word" not in str(refused.value)
