"""Beside the contracts of `make lint`: files, each `__init__.py` included, import each other in no circle."""

from graphlib import CycleError, TopologicalSorter

import pytest


def test_no_file_imports_itself_by_way_of_others() -> None:
    grimp = pytest.importorskip("grimp", reason="comes with the extra lint")
    graph = grimp.build_graph("prerelax", cache_dir=None)  # imports in functions and for types included
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert "prerelax.records.atomic_write" in imported["prerelax.records.shard"]
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
