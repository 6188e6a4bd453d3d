"""Lines of code by room: `python tests/count_lines.py [FOLDER] [--files]`.

Counted are the Python and Snakemake files of src/ and workflow/ without blank lines, comments and docstrings.
"""

import ast
import sys
from collections import Counter
from pathlib import Path


def code_lines(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    documentation: set[int] = set()
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                documentation.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and line.strip()[0] != "#" and i not in documentation for i, line in lines)


def room(path: Path) -> str:
    parts = path.parts
    if parts[:2] != ("src", "prerelax"):
        return "workflow"
    if len(parts) == 3:
        return "top"
    return "/".join(parts[2:4]) if parts[2] == "studies" and len(parts) > 4 else parts[2]


def main(root: Path, by_file: bool) -> None:
    patterns = ("src/**/*.py", "src/**/*.smk", "workflow/**/*.smk", "workflow/Snakefile", "Snakefile")
    counts: Counter[str] = Counter()
    for pattern in patterns:
        for path in root.glob(pattern):
            name = path.relative_to(root)
            counts[str(name) if by_file else room(name)] += code_lines(path)
    for name, lines in counts.most_common():
        print(f"{lines:6d}  {name}")
    print(f"{counts.total():6d}  in all")


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word != "--files"]
    main(Path(arguments[0]) if arguments else Path(), "--files" in sys.argv)
