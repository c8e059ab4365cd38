"""Which code rates: the package's version and a digest of the rules, as lines record it.

The digest covers what a quantity or an amount depends on and nothing else, so that it changes when they may.
"""

from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from billing_pipeline.adapters.warehouse import load_sql

CORE = Path(__file__).resolve().parent.parent / "core"

RULES = (
    "descriptions.py",
    "money.py",
    "price_book.py",
    "price_book_model.py",
    "rating.py",
    "rating_frames.py",
    "rating_models.py",
    "rating_prices.py",
)


@cache
def code_version() -> str:
    """`<version>+<12 hex digits>`: of the files of core/ in RULES and of the statement that measures usage."""
    digest = sha256()
    for name in RULES:
        digest.update((CORE / name).read_bytes())
    digest.update(load_sql("assets/usage_snapshots.sql").encode())
    return f"{version('billing_pipeline')}+{digest.hexdigest()[:12]}"
