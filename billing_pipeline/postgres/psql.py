"""The psql program for whichever database is configured."""

import shutil

from sqlalchemy import URL

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import SettingsError


def psql_command(warehouse: Warehouse) -> tuple[list[str], dict[str, str]]:
    """The command line, and environment variables for it: the password never stands on a command line.

    Raises:
        SettingsError: there is no psql on this machine and the server is not the embedded one, which brings its own.
    """
    bundled = getattr(warehouse.keep_alive, "bin_path", None)
    program = str(bundled / "psql") if bundled and (bundled / "psql").exists() else shutil.which("psql")
    if program is None:
        raise SettingsError("psql is not installed: install PostgreSQL's client, or unset BILLING_DATABASE_URL")
    url = warehouse.engine.url
    # set(password=None) would keep it
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query).render_as_string()
    environment = {"PGOPTIONS": "-c search_path=billing,public -c timezone=UTC"}
    if url.password is not None:
        environment["PGPASSWORD"] = str(url.password)
    return [program, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", plain], environment
