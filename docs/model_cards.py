"""A hook of mkdocs: the cards of models/, which stay beside their weights, become pages of the site."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

CARD = re.compile(r"\.\./\.\./models/([\w-]+)/card\.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add models/<name>.md for every card, its links to docs/ made those of the site."""
    for card in sorted(Path(config["config_file_path"]).parent.glob("models/*/card.md")):
        text = card.read_text().replace("../../docs/", "../")
        files.append(File.generated(config, f"models/{card.parent.name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links of the repository to a card links of the site."""
    return CARD.sub(r"../models/\1.md", markdown)
