"""Mails as files, where there is no mail server: one `.eml` a notice, which any mail program opens."""

from collections.abc import Callable
from pathlib import Path

from billing_pipeline.notices.letters import Letter
from billing_pipeline.notices.senders import SenderUnavailable
from billing_pipeline.settings.environment import private_folder


class MailFiles:
    """A folder of mails. A mail that is written twice is one file, so here nothing is ever in doubt for long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, letter: Letter, edge: Callable[[], None]) -> None:
        """Write the file; it is there whole or not at all."""
        try:
            private_folder(self.folder)
            half = self.folder / f".{letter.key}.part"
            half.write_bytes(letter.content)
            half.chmod(0o600)
        except OSError as error:
            raise SenderUnavailable(f"mails cannot be written to {self.folder}: {error.strerror}") from None
        edge()
        half.replace(self.folder / f"{letter.key}.eml")

    def close(self) -> None:
        """Nothing is open."""
