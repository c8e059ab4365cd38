"""Help, the version, and what a command loads before it runs."""

import json
import subprocess
import sys
from importlib.metadata import version

import click
import pytest

from billing_pipeline.cli import main
from billing_pipeline_tests.commands import said

HEAVY = ("sqlalchemy", "psycopg", "pandas", "pyarrow", "dagster", "great_expectations", "stripe")


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += _commands(command, (*path, name))
    return found


COMMANDS = _commands(main)


def _loaded(*arguments: str) -> set[str]:
    """The heavy packages that a process has loaded once it ran the command."""
    code = (
        "import sys, json\nfrom billing_pipeline.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_loads_no_database_no_frame_and_no_dagster() -> None:
    assert _loaded("--help") == set()
    assert _loaded("run", "--help") == set()
    assert _loaded("--version") == set()


def test_a_price_book_is_checked_without_a_database(tmp_path) -> None:
    book = tmp_path / "book.yaml"
    book.write_text("name: x", encoding="utf-8")
    assert _loaded("prices", "check", str(book)) == set()


def test_a_listing_loads_neither_arrow_nor_pandas_nor_dagster(world, monkeypatch) -> None:  # noqa: ARG001
    for arguments in (("invoices", "list"), ("charges", "list"), ("customers", "list"), ("events", "list")):
        assert _loaded(*arguments) <= {"sqlalchemy", "psycopg"}


def test_a_mistake_in_a_month_or_a_book_is_said_before_dagster_is_loaded(world, monkeypatch, tmp_path) -> None:  # noqa: ARG001
    assert "dagster" not in _loaded("run", "--month", "2199-01")
    monkeypatch.setenv("BILLING_PRICE_BOOK", str(tmp_path / "missing.yaml"))
    assert _loaded("run", "--month", "2026-10") == set()
    monkeypatch.delenv("BILLING_PRICE_BOOK")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://127.0.0.1:1/dagster")
    assert "dagster" not in _loaded("run", "--month", "2026-10")


def test_the_version_is_that_of_the_package() -> None:
    assert said("--version") == f"billing {version('billing-pipeline')}"


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if isinstance(one[1], click.Group)], ids=lambda c: " ".join(c[0])
)
def test_no_text_of_a_list_of_commands_is_cut(command) -> None:
    path, group = command
    shown = " ".join(said(*path, "--help").split()).replace("[ARGS]...", "")
    assert "..." not in shown
    for name, one in _commands(group):
        if len(name) == 1:
            sentence = " ".join(str(one.help).split("\n\n")[0].split()).split(". ")[0]
            assert sentence.rstrip(".") in shown


def test_every_command_and_option_says_what_it_is_for() -> None:
    for path, command in COMMANDS:
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)


def test_an_option_means_the_same_everywhere() -> None:
    """Options of one name have one text, but for those whose meaning depends on the command."""
    texts: dict[str, set[str]] = {}
    for _, command in COMMANDS:
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.required is False:
                for name in parameter.opts:
                    texts.setdefault(name, set()).add(str(parameter.help))
    assert len(texts["--json"]) == 1
    signed = [
        parameter.help
        for path, command in COMMANDS
        for parameter in command.params
        if parameter.name in ("author", "reason") and parameter.required and isinstance(parameter, click.Option)
    ]
    assert set(signed) == {"Who does it; kept in the audit log.", "Why; kept in the audit log."}


def test_everything_that_lists_or_shows_has_json() -> None:
    for path, command in COMMANDS:
        if path[-1] in ("list", "show", "status", "check", "refunds", "contradictions", "reconcile", "explain", "diff"):
            if path == ("charges", "reconcile"):
                continue  # decides, and says one line
            assert any(option.name == "as_json" for option in command.params), path


def test_the_page_of_commands_names_every_command_and_no_other() -> None:
    from billing_pipeline.settings import ROOT

    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    leaves = {" ".join(path) for path, command in COMMANDS if not isinstance(command, click.Group)}
    for name in leaves | {"reconcile", "emulator"}:
        assert f"`billing {name}" in page, name
