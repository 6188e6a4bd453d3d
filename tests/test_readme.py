"""What README, the docs and the model cards say can be checked: commands, options, files, links, configs."""

import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROSE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACES = "docs|config|src|slurm|models|examples|benchmarks|envs|tests|workflow"
TEXT = {".py", ".smk", ".yaml", ".yml", ".md", ".rst", ".toml", ".cff", ".sh", ""}
PAGE = re.compile(r"\b(docs/[\w./-]+\.md)\b")
MADE = ("models/mine", "models/morered-")  # folders that a shown command makes
PLACEHOLDER = re.compile(r"[A-Z…]|\.\.\.|NAME|\$")


def documents(repository: Path) -> list[Path]:
    pages = [repository / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    for pattern in ("docs/**/*.md", "config/*.md", "benchmarks/*.md", "models/*/card.md"):
        pages += sorted(repository.glob(pattern))
    return pages


def blocks(document: Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(document.read_text()) if language in languages]


def without_blocks(document: Path) -> str:
    return BLOCK.sub("", document.read_text())


def calls(text: str) -> Iterator[list[str]]:
    """The words of every command in a block: comments dropped, continued lines joined."""
    pending = ""
    for line in text.replace("\\\n", " ").splitlines():
        pending = f"{pending}\n{line}" if pending else line
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quotation that the next line closes
            continue
        pending = ""
        if words:
            yield words


def prerelax_calls(document: Path) -> Iterator[list[str]]:
    """The words after `prerelax` of every call in the blocks and in the prose of a page."""
    shown = [words for block in blocks(document, "", "bash", "console") for words in calls(block)]
    shown += [text.split() for text in PROSE.findall(without_blocks(document))]
    for words in shown:
        for i, word in enumerate(words):
            if word.rpartition("/")[2] == "prerelax" and (i == 0 or words[i - 1] in ("&&", "|", ";")):
                yield [w.strip("[]") for w in words[i + 1 :]]


def command_tree() -> Any:
    from typer.main import get_command

    from prerelax.cli import app

    return get_command(app)


def steps_of(command: Any) -> tuple[str, ...]:
    """The words that may stand for the argument `step` of a study; none where a verb has no steps."""
    hints = typing.get_type_hints(command.callback)
    return typing.get_args(hints.get("step"))


def complaint(words: list[str], tree: Any) -> str | None:
    """What is wrong with the verb or the options of a call; None where nothing is."""
    command, verbs = tree, ["prerelax"]
    while words and hasattr(command, "commands"):
        word, *words = words
        if word.startswith("-") or PLACEHOLDER.match(word):
            return None
        found = command.get_command(click.Context(command), word)
        if found is None:
            return f"{' '.join(verbs)} has no verb {word}"
        command = found
        verbs.append(word)
    if hasattr(command, "commands"):  # a group alone, such as `prerelax models`
        return None
    steps = steps_of(command)
    if steps and words and words[0] not in steps and not PLACEHOLDER.match(words[0]):
        return f"{' '.join(verbs)} has no step {words[0]}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in words:
        option = word.partition("=")[0]
        if re.match(r"--?[a-z]", option) and option not in known:
            return f"{' '.join(verbs)} has no option {option}"
    return None


def test_every_verb_and_option_in_the_docs_exists(repository: Path) -> None:
    tree = command_tree()
    wrong = [
        f"{document.relative_to(repository)}: {said}"
        for document in documents(repository)
        if document.name != "CHANGELOG.md"  # names what is gone
        for words in prerelax_calls(document)
        if (said := complaint(words, tree))
    ]
    assert not wrong, "\n".join(wrong)


def test_settings_in_the_docs_are_json(repository: Path) -> None:
    for document in documents(repository):
        for words in prerelax_calls(document):
            for option, value in itertools.pairwise(words):
                if option == "--settings" and value.startswith("{") and "…" not in value:
                    json.loads(value)


def test_every_benchmark_call_in_the_docs_exists(repository: Path) -> None:
    call = re.compile(r"((?:benchmarks|tests)/[\w/]+\.py)((?:\s+[^\s`]+)*)")
    for document in documents(repository):
        shown = [*blocks(document, ""), *PROSE.findall(without_blocks(document))]
        for text in shown:
            for line in text.replace("\\\n", " ").splitlines():
                for script, rest in call.findall(line):
                    source = (repository / script).read_text()
                    for option in re.findall(r"--[a-z][a-z-]*", rest):
                        assert option in source, f"{document.name}: {script} has no option {option}"


def test_every_benchmark_is_in_the_index(repository: Path) -> None:
    index = (repository / "benchmarks/README.md").read_text()
    for script in sorted((repository / "benchmarks").rglob("*.py")):
        if 'if __name__ == "__main__"' in script.read_text():
            assert f"{script.relative_to(repository)}" in index, f"benchmarks/README.md misses {script.name}"


def test_every_file_in_the_docs_exists(repository: Path) -> None:
    named = re.compile(rf"(?<![\w/.$-])((?:{PLACES})/[\w./-]*\w)")
    shipped = {f"models/{path.name}" for path in (repository / "models").iterdir()}
    for document in documents(repository):
        if document.name == "CHANGELOG.md":
            continue
        shown = [*blocks(document, "", "bash"), *PROSE.findall(without_blocks(document))]
        for name in (name for text in shown for name in named.findall(text)):
            if "NAME" in name or (name.startswith(MADE) and name not in shipped):
                continue
            assert (repository / name).exists(), f"{document.relative_to(repository)} names {name}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower() for heading in headings]
    return {re.sub(r"[\s-]+", "-", text) for text in plain}


def test_every_link_resolves(repository: Path) -> None:
    wrong = []
    for document in documents(repository):
        for link in LINK.findall(without_blocks(document)):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            page = (document.parent / path).resolve() if path else document
            if not page.exists() or (anchor and page.suffix == ".md" and anchor not in anchors(page)):
                wrong.append(f"{document.relative_to(repository)}: {link}")
    assert not wrong, "\n".join(wrong)


def tracked(repository: Path) -> list[str]:
    """The names of the text files that git tracks."""
    listed = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.splitlines() if (repository / name).is_file()]
    return [name for name in names if Path(name).suffix in TEXT]


def test_every_page_that_the_repository_names_exists(repository: Path) -> None:
    names = tracked(repository)
    wrong = [
        f"{name}: {page}"
        for name in names
        if name != "tests/test_readme.py"
        for page in PAGE.findall((repository / name).read_text())
        if page not in names
    ]
    assert not wrong, "\n".join(wrong)


def test_campaigns_in_the_docs_are_valid(repository: Path) -> None:
    from prerelax.campaign.config import load_campaign

    found = 0
    for document in documents(repository):
        for block in blocks(document, "yaml"):
            config = yaml.safe_load(block)
            if isinstance(config, dict) and "campaign" in config:
                load_campaign(config)
                found += 1
    assert found


def test_architecture_lists_the_rooms_in_the_order_of_the_import_contract(repository: Path) -> None:
    contracts = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rooms = [layer for layer in reversed(layers) if (repository / "src/prerelax" / layer).is_dir()]
    listed = re.findall(r"^  (\w+)/ ", (repository / "docs/architecture.md").read_text(), re.MULTILINE)
    assert listed == rooms


def test_changelog_names_every_word_that_was_renamed(repository: Path) -> None:
    from prerelax.settings import RENAMED_KEYS
    from prerelax.verbs.renamed import RENAMED_OPTIONS, RENAMED_VERBS

    rows = [line for line in (repository / "CHANGELOG.md").read_text().splitlines() if line.startswith("|")]
    renamed = [(old,) for old in (*RENAMED_VERBS, *RENAMED_KEYS) if not old.startswith("data ")]
    renamed += [tuple(old.rsplit(" ", 1)) for old in RENAMED_OPTIONS]
    for words in renamed:
        assert any(all(f"`{word}`" in row for word in words) for row in rows), " ".join(words)


def test_nothing_names_a_renamed_verb(repository: Path) -> None:
    from prerelax.verbs.renamed import RENAMED_VERBS

    old = re.compile(rf"\bprerelax ({'|'.join(map(re.escape, RENAMED_VERBS))})(?![\w-])")
    wrong = [
        f"{name}: {match[0]}"
        for name in tracked(repository)
        if not name.startswith("tests/") and name not in ("CHANGELOG.md", "src/prerelax/verbs/renamed.py")
        for match in old.finditer((repository / name).read_text())
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_of_the_api_reference_exist(repository: Path) -> None:
    for page in sorted((repository / "docs/reference").glob("*.md")):
        for module in re.findall(r"^::: ([\w.]+)", page.read_text(), re.MULTILINE):
            path = repository / "src" / module.replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").is_file(), f"{page.name} names {module}"


@pytest.mark.slow
def test_python_of_the_docs_runs(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("smiles\nCCO\n")
    line = [sys.executable, "-m", "prerelax", "run", "mine.csv", "--target", "GFN2-xTB", "--dry-run"]
    subprocess.run(line, cwd=tmp_path, check=True, capture_output=True)
    for block in blocks(repository / "docs/guide/python.md", "python"):
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True, capture_output=True)
