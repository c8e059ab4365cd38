"""Which code rates: the package's version and a digest of the rules, as lines record it.

The digest covers what a quantity or an amount depends on and nothing else, so that it changes when they may.
"""

from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from billing_pipeline.postgres.sql_files import load_sql

PACKAGE = Path(__file__).resolve().parent.parent

RULES = (
    "core/money.py",
    "core/money_columns.py",
    *(
        f"pricing/rules/{name}.py"
        for name in (
            "descriptions", "price_book", "price_book_model", "proration", "rating", "rating_amounts", "rating_bounds",
            "rating_frames", "rating_limits", "rating_lines", "rating_merging", "rating_models", "rating_prices",
            "rating_scopes", "term_lines", "terms", "terms_in_force",
        )
    ),
)  # fmt: skip

STATEMENTS = ("usage/usage_snapshots.sql", "views/corrected_events.sql")
"""What measures usage, and the view of corrections that it reads."""


@cache
def code_version() -> str:
    """`<version>+<12 hex digits>`: of the files in RULES and STATEMENTS."""
    digest = sha256()
    for name in RULES:
        digest.update((PACKAGE / name).read_bytes())
    for statement in STATEMENTS:
        digest.update(load_sql(statement).encode())
    return f"{version('billing_pipeline')}+{digest.hexdigest()[:12]}"
