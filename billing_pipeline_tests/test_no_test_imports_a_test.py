"""What several test modules need is a fixture or a module of helpers: no test module imports from another."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent
MODULES = {path.stem for path in TESTS.rglob("test_*.py")}


def imported(source: str) -> set[str]:
    """The modules and names that Python source imports, with dots, also within functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return found


def among_tests(names: set[str]) -> set[str]:
    """Those that are, or lie in, a test module."""
    return {name for name in names if not MODULES.isdisjoint(name.split("."))}


def test_no_module_of_the_tests_imports_from_a_test_module() -> None:
    files = sorted(TESTS.rglob("*.py"))
    assert len(files) > 150
    found = {
        str(path.relative_to(TESTS)): sorted(names)
        for path in files
        if (names := among_tests(imported(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


def test_each_way_to_import_from_a_test_module_is_seen() -> None:
    for source in (
        "from billing_pipeline_tests.e2e.test_cli import billing",
        "def run():\n    from ..e2e.test_cli import billing",
        "from billing_pipeline_tests.e2e import test_cli",
        "import billing_pipeline_tests.e2e.test_cli",
        "from .test_cli import billing",
    ):
        assert among_tests(imported(source)), source
    assert not among_tests(imported("from billing_pipeline.charging.operations import test_key"))
