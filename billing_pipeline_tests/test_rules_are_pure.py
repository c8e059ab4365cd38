"""Rules compute: the same arguments give the same answer, whatever the machine, its settings and its clock say.

The import contracts forbid what is known to do I/O; here is the list of what rules may use at all.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import billing_pipeline

PACKAGE = Path(billing_pipeline.__file__).parent
RULES = sorted([*PACKAGE.glob("core/**/*.py"), *PACKAGE.glob("*/rules/**/*.py")])

LIBRARIES = frozenset(
    {
        *(
            "calendar",
            "collections",
            "dataclasses",
            "datetime",
            "decimal",
            "enum",
            "fractions",
            "functools",
            "hashlib",
            "hmac",
        ),
        *("itertools", "json", "math", "operator", "re", "typing", "unicodedata", "uuid", "zoneinfo"),
        *("email_validator", "numpy", "pandas", "pyarrow", "pydantic", "yaml"),  # email_validator: never asked for DNS
    }
)
CLOCK_OR_CHANCE = frozenset({"now", "utcnow", "today", "uuid1", "uuid4", "clock_timestamp", "token_hex", "urandom"})
WORLD = frozenset({"open", "input", "print", "exec", "eval", "__import__", "breakpoint"})
FILES = frozenset(
    {
        "environ",
        "getenv",
        "read_text",
        "read_bytes",
        "write_text",
        "write_bytes",
        "read_csv",
        "read_parquet",
        "read_sql",
    }
)


def impurities(source: str) -> list[str]:
    """What in a module's source is not for rules, with its line."""
    return [f"{line}: {what}" for line, what in _impurities(ast.parse(source))]


def _impurities(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if not _is_for_rules(alias.name))
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if not _is_for_rules(name):
                yield node.lineno, name
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in CLOCK_OR_CHANCE | FILES)
        elif isinstance(node, ast.Attribute) and node.attr in CLOCK_OR_CHANCE | FILES:
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Name) and node.id in WORLD:
            yield node.lineno, node.id
        elif isinstance(node, ast.Global):
            yield node.lineno, "global"


def _is_for_rules(module: str) -> bool:
    """Libraries that compute, the core, and rules of whatever room."""
    first, *rest = module.split(".")
    if first == "billing_pipeline":
        return rest[:1] == ["core"] or rest[1:2] == ["rules"]
    return first in LIBRARIES


@pytest.mark.parametrize("path", RULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_of_rules_reads_no_environment_file_clock_or_chance(path: Path) -> None:
    assert impurities(path.read_text(encoding="utf-8")) == []


def test_every_room_with_rules_is_looked_at() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0] for path in RULES}
    assert rooms == {"core", *(path.parent.name for path in PACKAGE.glob("*/rules"))}
    assert len(RULES) > 30
    assert sys.stdlib_module_names >= LIBRARIES - {"email_validator", "numpy", "pandas", "pyarrow", "pydantic", "yaml"}


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import time",
        "import random",
        "from pathlib import Path",
        "import os.path as p",
        "from os import environ",
        "from importlib.resources import files",
        "from billing_pipeline.settings import load_settings",
        "import billing_pipeline.settings.charging",
        "from billing_pipeline.charging.store import rows",
        "from billing_pipeline import settings",
        "from billing_pipeline.charging import store",
        "from . import store",
        "from datetime import datetime\ndef f():\n    return datetime.now()",
        "import datetime as d\nx = d.date.today()",
        "import uuid\nkey = uuid.uuid4()",
        "from uuid import uuid4",
        "def f():\n    import os\n    return 1",
        "text = open('book.yaml').read()",
        "import pandas as pd\nframe = pd.read_csv('usage.csv')",
        "print('rated')",
    ],
)
def test_what_is_not_pure_is_found(source: str) -> None:
    assert impurities(source)


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime, timedelta\ndef later(now: datetime) -> datetime:\n    return now + timedelta(1)",
        "from billing_pipeline.core.money import exponent",
        "from billing_pipeline.stripe_gateway.rules.errors import outcome",
        "import pyarrow.compute as pc",
    ],
)
def test_what_is_pure_is_let_be(source: str) -> None:
    assert impurities(source) == []
