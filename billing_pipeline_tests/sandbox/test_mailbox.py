"""The mailbox: what was written is shown as it was sent, to this machine alone."""

import os
import socket
from email import policy
from email.message import EmailMessage
from pathlib import Path

import anyio
import httpx
import pytest
from click.testing import CliRunner

from billing_pipeline.cli import main
from billing_pipeline.sandbox.mailbox import NEWEST, create_app, mail_of, mails


def write(folder: Path, key: str, *, age_s: int = 0, subject: str = "Your invoice", html: str | None = None) -> None:
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"], message["Subject"] = "Billing <billing@localhost>", "ann@example.com", subject
    message.set_content("Grüße & <b>no bold</b>\n")
    if html is not None:
        message.add_alternative(html, subtype="html")
    folder.mkdir(exist_ok=True)
    file = folder / f"{key}.eml"
    file.write_bytes(message.as_bytes())
    os.utime(file, (1_800_000_000 - age_s,) * 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "old", age_s=60, subject="فاتورة <1>")
    write(tmp_path, "new", html='<p style="color: red">Hello</p><script>alert(1)</script>')
    (tmp_path / ".half.part").write_bytes(b"half")
    return tmp_path


async def answer(folder: Path, path: str, host: str = "127.0.0.1:12400") -> httpx.Response:
    transport = httpx.ASGITransport(create_app(folder))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        return await client.get(path)


def get(folder: Path, path: str, host: str = "127.0.0.1:12400") -> httpx.Response:
    return anyio.run(answer, folder, path, host)


def test_mails_are_listed_the_newest_first_and_only_whole_ones(folder: Path) -> None:
    assert [mail.key for mail in mails(folder)] == ["new", "old"]
    page = get(folder, "/").text
    assert page.index('href="/new"') < page.index('href="/old"')
    assert "فاتورة &lt;1&gt;" in page
    assert "None yet" in get(folder / "nothing", "/").text
    for number in range(NEWEST):
        write(folder, f"n{number}")
    assert len(mails(folder)) == NEWEST


def test_a_mail_is_shown_as_text_and_as_mail_programs_show_it(folder: Path) -> None:
    page = get(folder, "/new")
    assert "Grüße &amp; &lt;b&gt;no bold&lt;/b&gt;" in page.text
    assert 'href="/new/html"' in page.text
    assert "style-src 'self'" in page.headers["content-security-policy"]
    rendered = get(folder, "/new/html")
    assert '<p style="color: red">Hello</p>' in rendered.text
    assert rendered.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "/old/html" not in get(folder, "/old").text


@pytest.mark.parametrize("path", ["/no", "/no/html", "/old/html", "/..%2Fnew", "/%00", "/new.eml"])
def test_what_is_no_mail_is_not_found(folder: Path, path: str) -> None:
    assert get(folder, path).status_code == 404
    assert mail_of(folder / "nothing", "new") is None


def test_a_name_of_another_host_that_leads_here_is_refused(folder: Path) -> None:
    assert get(folder, "/", "evil.example").status_code == 400
    assert get(folder, "/", "localhost:12400").status_code == 200


def test_with_a_mail_server_there_is_no_mailbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("BILLING_SMTP_URL", "smtps://mail.example.com")
    monkeypatch.setenv("BILLING_MAIL_FROM", "Billing <billing@example.com>")
    refused = CliRunner().invoke(main, ["mailbox"])
    assert refused.exit_code != 0
    assert "BILLING_SMTP_URL is set" in str(refused.output) + str(refused.exception)


def test_a_taken_port_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = CliRunner().invoke(main, ["mailbox", "--port", str(port)])
    assert refused.exit_code != 0
    assert f"port {port} on 127.0.0.1 cannot be listened on" in str(refused.output) + str(refused.exception)
