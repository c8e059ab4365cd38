"""The psql program for whichever database is configured."""

import shutil

from sqlalchemy import URL

from billing_pipeline.postgres.connections import libpq_url
from billing_pipeline.postgres.sql_files import SQL_FOLDER
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import SettingsError


def psql_command(warehouse: Warehouse) -> tuple[list[str], dict[str, str]]:
    """The command line, and environment variables for it: the password never stands on a command line.

    Raises:
        SettingsError: there is no psql on this machine and the server is not the embedded one, which brings its own; or
            the URL has a password that psql takes on a command line only.
    """
    bundled = getattr(warehouse.keep_alive, "bin_path", None)
    program = str(bundled / "psql") if bundled and (bundled / "psql").exists() else shutil.which("psql")
    if program is None:
        raise SettingsError("psql is not installed: install PostgreSQL's client, or unset BILLING_DATABASE_URL")
    url = warehouse.engine.url
    query = dict(url.query)
    password = url.password or query.pop("password", None)
    query.pop("password", None)
    if "sslpassword" in query:
        raise SettingsError("BILLING_DATABASE_URL: psql cannot take sslpassword unseen: expected a key without one")
    # set(password=None) would keep it
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    environment = {"PSQLRC": str(SQL_FOLDER / "postgres" / "psqlrc")}
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    return [program, "--set", "ON_ERROR_STOP=1", libpq_url(plain)], environment
