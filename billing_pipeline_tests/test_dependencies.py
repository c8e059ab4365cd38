"""docs/dependencies.md names each direct dependency with its licence, and make check finds a secret."""

import random
import re
import string
import subprocess
import sys
import tomllib
from importlib.metadata import metadata
from pathlib import Path

from billing_pipeline.settings import ROOT

PAGE = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _named(heading: str) -> dict[str, str]:
    """Package -> licence in the table below a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return {row[1]: row[2] for row in re.finditer(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]+) \|$", section, re.MULTILINE)}


def _direct(listed: list[str]) -> list[str]:
    return sorted(re.split(r"[^\w-]", one)[0] for one in listed)


def test_the_page_names_each_direct_dependency_and_no_other():
    assert sorted(_named("At run time")) == _direct(PROJECT["project"]["dependencies"])
    for extra, listed in PROJECT["project"]["optional-dependencies"].items():
        assert sorted(_named(f"With the extra `{extra}`")) == _direct(listed)
    assert sorted(_named("To develop it")) == _direct(PROJECT["dependency-groups"]["dev"])


def test_its_licences_are_those_that_the_packages_tell():
    page = _named("At run time") | _named("To develop it")
    told = {name: licence for name in page for licence in metadata(name).get_all("License-Expression", [])}
    assert {name: page[name] for name in told} == told


def test_the_secrets_that_make_check_looks_for_are_found(tmp_path):
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    [options] = re.findall(r"^SECRETS := (.*)$", lines, re.MULTILINE)
    key = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=97))
    (tmp_path / "settings.py").write_text(f'KEY = "sk_live_51{key}"\n', encoding="utf-8")
    tool = Path(sys.executable).parent / "kingfisher"
    found = subprocess.run(
        [tool, "scan", tmp_path, *options.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode != 0
    assert "settings.py" in found.stdout
    assert key not in found.stdout
