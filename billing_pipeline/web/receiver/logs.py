"""How the receiver and the API write their logs: lines for people, or an object a line for programs."""

import json
import logging
import sys
from datetime import UTC, datetime

from billing_pipeline.settings.logs import logs_are_json


class JsonLines(logging.Formatter):
    """An object a line: `at`, `level`, `logger`, `message`, the record's `fields`, and a fault's traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)


def write_logs() -> None:
    """Write ours and the server's to stderr, as BILLING_LOG_FORMAT says.

    Raises:
        SettingsError: it says something else than text or json.
    """
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonLines() if logs_are_json() else plain)
    logging.basicConfig(handlers=[handler])
    for name in ("billing", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)
