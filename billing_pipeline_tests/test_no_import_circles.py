"""No module imports itself by way of others: neither between rooms nor inside one, nor by imports within functions."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """One circle of the graph (module -> modules that it imports), first module again at the end; [] if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]  # the sorter tells it from the imported module to the one that imports it
    return []


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """All imports between modules of the package, but for those that only type checkers follow."""
    graph = grimp.build_graph("billing_pipeline", exclude_type_checking_imports=True, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_module_of_the_package_imports_itself_by_way_of_others(imports: dict[str, set[str]]) -> None:
    assert len(imports) > 250
    assert circle(imports) == []


def test_no_room_imports_itself_by_way_of_others(imports: dict[str, set[str]]) -> None:
    rooms: dict[str, set[str]] = {}
    for module, imported in imports.items():
        room = module.split(".")[1:2]
        for name in imported:
            other = name.split(".")[1:2]
            if room and other and room != other:
                rooms.setdefault(room[0], set()).add(other[0])
    assert rooms["charging"] >= {"invoicing", "core"}
    assert circle(rooms) == []


def test_a_circle_is_found_and_told_in_the_order_of_its_imports() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) in (
        ["a", "b", "c", "a"],
        ["b", "c", "a", "b"],
        ["c", "a", "b", "c"],
    )
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []
