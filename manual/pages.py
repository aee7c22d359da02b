"""The pages of docs/ that are made from the code, and whether they are as the code is."""

from collections.abc import Callable, Mapping
from pathlib import Path

from manual.commands_page import commands_page
from manual.configuration_page import configuration_page
from manual.providers_page import providers_page
from potluck.settings import PROJECT_DIR

DOCS_DIR = PROJECT_DIR / "docs"
NOTE = "<!-- Made from the code by `uv run python -m manual`: change the code, not this page. -->"

PAGES: Mapping[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/configuration.md": configuration_page,
    "reference/providers.md": providers_page,
}


def page_text(path: str) -> str:
    """The page as the code has it now."""
    return f"{NOTE}\n\n{PAGES[path]().strip()}\n"


def old_pages(docs_dir: Path = DOCS_DIR) -> list[str]:
    """The pages that are missing or differ from what the code says."""
    return [path for path in PAGES if _written(docs_dir / path) != page_text(path)]


def write_pages(docs_dir: Path = DOCS_DIR) -> None:
    """Write every page anew."""
    for path in PAGES:
        file = docs_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page_text(path), "utf-8")


def _written(file: Path) -> str:
    return file.read_text("utf-8") if file.is_file() else ""
