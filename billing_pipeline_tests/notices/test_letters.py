"""What a mail is on its way: seven bits, short lines, and the words as they were at its end."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy

from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.notices.letters import Notice, Words, write_letter

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NOTICE = Notice(
    7, "invoice_issued", "invoice_issued:x", "ann@example.com", {}, NOW, "0042", "Ann & Co", None, "UTC"
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.just("\n"), max_size=400)


@given(text=TEXT, html=TEXT, subject=st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=80))
def test_every_text_arrives_as_it_was_written_in_seven_bits_and_short_lines(text, html, subject):
    content = write_letter(NOTICE, Words("en", subject, text, html), "Lyceum <billing@example.com>", NOW).content
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 78
    assert b"\n" not in content.replace(b"\r\n", b"")
    mail = message_from_bytes(content, policy=policy.default)
    assert not mail.defects
    plain, rich = mail.iter_parts()
    assert [part.get_content_type() for part in (plain, rich)] == ["text/plain", "text/html"]
    for part, written in ((plain, text), (rich, html)):
        assert part.get_content().replace("\r\n", "\n").rstrip("\n") == written.rstrip("\n")
        assert not part.defects
    assert mail["Subject"] == " ".join(subject.split())


def test_the_same_notice_is_the_same_mail():
    words = Words("ar", "قائمة", "قائمة\n", "<p>قائمة</p>")
    one, other = (write_letter(replace(NOTICE), words, "billing@example.com", NOW) for _ in range(2))
    assert one == other
