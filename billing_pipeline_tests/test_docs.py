"""What the documents name exists: files, links, commands and their options, settings, checks, reasons."""

import ast
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import click
import pytest
import yaml

from billing_pipeline.charging.brakes import PAUSED, UNAVAILABLE
from billing_pipeline.cli import main
from billing_pipeline.pricing.rules.rating import NEGATIVE
from billing_pipeline.settings import ROOT
from billing_pipeline.stripe_gateway.rules.errors import TABLE, Outcome

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
HISTORY = "CHANGELOG.md"
"""Names what is no more, too."""

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|sql|yaml|toml|md|lock|j2))`")
_CODE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_VARIABLE = re.compile(r"\b(?:BILLING|STRIPE|DAGSTER)_[A-Z_]+\b|\b[A-Z_]+_CRON\b")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_hooks_of_pre_commit_run_tools_that_setup_installs():
    config = yaml.safe_load(text_of(".pre-commit-config.yaml"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    folder, tools = zip(*(hook["entry"].split()[0].rsplit("/", 1) for hook in hooks), strict=True)
    assert set(folder) == {".venv/bin"}
    assert [tool for tool in tools if not (Path(sys.executable).parent / tool).exists()] == []


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return tuple(listed.stdout.split())


@cache
def anchors(page: Path) -> frozenset[str]:
    """As GitHub makes them: lower case, punctuation dropped, spaces to hyphens; and those that are set by hand."""
    found = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#{1,6} (.+)$", _BLOCK.sub("", found), re.MULTILINE)
    slugs = (re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
    return frozenset([*slugs, *re.findall(r'<a id="([^"]+)">', found)])


def headings(page: str) -> set[str]:
    return set(re.findall(r"^#{2,4} (.+)$", text_of(page), re.MULTILINE)) | anchors(ROOT / page)


@pytest.mark.parametrize("page", NAMES)
def test_every_relative_link_and_anchor_resolves(page: str):
    broken = []
    for target in _LINK.findall(_BLOCK.sub("", text_of(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (ROOT / page).parent / path if path else ROOT / page
        if not linked.exists() or (anchor and anchor not in anchors(linked.resolve())):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", [name for name in NAMES if name != HISTORY])
def test_every_file_that_is_named_exists(page: str):
    of_users = {"prices.yaml", "new.yaml", "pg_hba.conf"}
    named = set(_PATH.findall(text_of(page))) - of_users
    assert {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in tracked())} == set()


def commands(page: str) -> list[str]:
    """What the page tells to type: the lines of its shell blocks, joined where they go on, and inline code."""
    text = text_of(page)
    lines = [
        line.strip()
        for language, block in _BLOCK.findall(text)
        if language == "sh"
        for line in block.replace("\\\n", " ").splitlines()
    ]
    lines += _CODE.findall(_BLOCK.sub("", text))
    return [found for line in lines for found in re.findall(r"(?:^|[\s(\"])(?:\.venv/bin/)?(billing [^`#)]*)", line)]


def mistake(command: str) -> str | None:
    """What is wrong with a command line: a subcommand or an option that is not there."""
    words = command.replace("[", " ").replace("]", " ").replace("|", " ").split()
    with suppress(ValueError):  # a quotation that goes on in the next line, or an apostrophe: its words do
        words = [*words[:1], *shlex.split(" ".join(words[1:]))]
    found: click.Command = main
    options = {"--help", "-h"} | {name for option in main.params for name in option.opts}
    for place, word in enumerate(words[1:], start=1):
        inner = found.get_command(click.Context(found), word) if isinstance(found, click.Group) else None
        if inner is not None:
            found = inner
            options |= {name for option in found.params for name in (*option.opts, *option.secondary_opts)}
        elif isinstance(found, click.Group) and not word.startswith("-") and not found.invoke_without_command:
            return f"{command}: no {word} in {' '.join(words[:place])}"
        elif re.fullmatch(r"--[a-z][a-z-]*", word.rstrip(",;.)").partition("=")[0]):
            option = word.rstrip(",;.)").partition("=")[0]
            if option not in options:
                return f"{command}: no {option}"
    return None


@pytest.mark.parametrize("page", [name for name in NAMES if name != HISTORY])
def test_every_command_and_option_that_is_named_exists(page: str):
    assert [wrong for wrong in map(mistake, commands(page)) if wrong] == []


def test_mistaken_commands_are_seen():
    assert mistake("billing charges lst")
    assert mistake("billing run --moth 2026-10")
    assert mistake("billing frobnicate")
    assert mistake('billing void INV-1 --author ann --reason "x" --no-rebill') is None


@pytest.mark.parametrize("page", NAMES)
def test_every_make_target_that_is_named_exists(page: str):
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    shell = "\n".join(block for language, block in _BLOCK.findall(text_of(page)) if language == "sh")
    inline = "\n".join(_CODE.findall(_BLOCK.sub("", text_of(page))))
    assert set(re.findall(r"^make ([a-z]+)", f"{shell}\n{inline}", re.MULTILINE)) <= targets


def test_every_setting_is_documented_and_every_documented_one_is_read():
    read = {
        name
        for path in (ROOT / "billing_pipeline" / "settings").glob("*.py")
        for name in re.findall(r'"([A-Z_]{6,})"', path.read_text(encoding="utf-8"))
        if _VARIABLE.fullmatch(name) or name.endswith(("_CRON", "_BASE"))
    }
    told = {name for page in NAMES for name in _VARIABLE.findall(text_of(page)) if page != HISTORY}
    assert read - told == set()
    everywhere = "\n".join(
        text_of(path) for path in tracked() if path.endswith((".py", ".toml", ".yaml")) or path == "Makefile"
    )
    assert {name for name in told if name not in everywhere} == set()


def test_every_function_of_a_walk_is_in_its_module():
    walked = re.findall(r"^\| \w+ \| `([\w/]+\.py)` \| `([\w.]+)` \|", text_of("docs/architecture.md"), re.MULTILINE)
    assert len(walked) > 20
    missing = [(module, name) for module, name in walked if name not in defined(ROOT / "billing_pipeline" / module)]
    assert missing == []


def defined(module: Path) -> set[str]:
    names = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}.{one.name}" for one in methods}
    return names


def test_every_room_is_described():
    rooms = {path.parent.name for path in (ROOT / "billing_pipeline").glob("*/__init__.py")}
    told = set(re.findall(r"^\| `([\w/]+)/` \|", text_of("docs/architecture.md"), re.MULTILINE))
    assert {room for room in rooms if room not in {name.partition("/")[0] for name in told}} == set()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Dagster's, of pydantic
def test_every_check_has_a_heading_that_says_what_to_do():
    from billing_pipeline.definitions import defs

    checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert "usage_conserved" in checks
    assert checks - headings("docs/gates.md") == set()


def test_every_brake_has_a_heading_that_says_how_it_lets_go():
    source = text_of("billing_pipeline/charging/rules/brakes.py")
    codes = {PAUSED, UNAVAILABLE, *re.findall(r'Brake\(\s*"(\w+)"', source)}
    assert {"over_run_cap", "canary_failed", "month_too_old"} <= codes
    assert codes - headings("docs/brakes.md") == set()


def test_every_refusal_of_a_payment_has_a_heading():
    of_repayments = {"already_refunded", "disputed"}
    codes = {verdict.reason_code for verdict in TABLE.values() if verdict.outcome is Outcome.REFUSED} - of_repayments
    assert codes - headings("docs/refused-payments.md") == set()


def test_every_reason_of_quarantine_has_a_heading():
    statement = text_of("sql/usage/usage_quarantine.sql")
    reasons = [reason.replace("''", "'") for reason in re.findall(r"(?:THEN|format\()\s*'((?:[^']|'')+)'", statement)]
    rating = text_of("billing_pipeline/pricing/rules/rating_prices.py")
    reasons += [NEGATIVE, *re.findall(r'f?"(no price[^"{]*)', rating)]
    assert len(reasons) > 6
    told = headings("docs/quarantine.md")
    unsaid = {reason for reason in reasons if not any(one.startswith(re.split(r" [%\[]", reason)[0]) for one in told)}
    assert unsaid == set()
