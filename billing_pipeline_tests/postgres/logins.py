"""Logins of the test server, each a member of one of the roles."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.month_rows import execute


@contextmanager
def login(warehouse: Warehouse, member_of: str, options: str = "LOGIN") -> Iterator[Warehouse]:
    """A connection of a login of its own."""
    name = f"login_{uuid4().hex[:8]}"
    execute(warehouse, f"CREATE ROLE {name} {options}" + (f" IN ROLE {member_of}" if member_of else ""))
    url = warehouse.engine.url.set(username=name)
    engine = open_engine(url)
    try:
        yield Warehouse(engine, url)
    finally:
        engine.dispose()
        execute(warehouse, f"DROP OWNED BY {name}; DROP ROLE {name}")


def refused(warehouse: Warehouse, statement: str) -> str:
    """What PostgreSQL says to a statement that the login has no right to."""
    with pytest.raises(ProgrammingError) as caught, warehouse.transaction() as connection:
        connection.execute(text(statement))
    assert isinstance(caught.value.orig, psycopg.errors.InsufficientPrivilege), caught.value
    return str(caught.value.orig)
