"""How functions are called: no function outside the command line takes more than eight parameters."""

import ast
from collections.abc import Iterator
from pathlib import Path

MOST = 8


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def n_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """`self` and `cls` are none."""
    given = function.args
    named = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in named if name not in ("self", "cls")])


def test_no_function_takes_more_parameters_than_eight(repository: Path) -> None:
    source = repository / "src/prerelax"
    long = [
        f"{path.relative_to(source)}: {function.name}"
        for path in sorted(source.rglob("*.py"))
        if path.parent.name != "verbs" and path.name != "command.py"  # typer's verbs
        for function in functions(path)
        if n_parameters(function) > MOST
    ]
    assert long == []
