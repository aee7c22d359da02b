"""What the site is made of: every page is in its navigation, once, and links stay inside."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from potluck.settings import PROJECT_DIR
from tools.registry import ToolSpec

DOCS = PROJECT_DIR / "docs"
SITE = YAML(typ="safe", pure=True).load((PROJECT_DIR / "mkdocs.yml").read_text("utf-8"))
PAGES = {page.relative_to(DOCS).as_posix(): page.read_text("utf-8") for page in DOCS.rglob("*.md")}


def listed(nav: Any) -> Iterator[str]:
    for entry in nav:
        for place in entry.values():
            yield from [place] if isinstance(place, str) else listed(place)


def test_every_page_is_in_the_navigation_once_and_no_other() -> None:
    assert sorted(listed(SITE["nav"])) == sorted(PAGES)


def test_links_lead_to_pages_and_files_of_the_site() -> None:
    for name, text in PAGES.items():
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
            file = (DOCS / name).parent / target
            assert file.resolve().is_relative_to(DOCS), f"{name}: {target}"
            assert file.is_file(), f"{name}: {target}"


def test_nothing_is_loaded_from_elsewhere_by_the_settings() -> None:
    assert SITE["theme"]["font"] is False
    assert not {"extra_javascript", "plugins", "repo_url"} & set(SITE)
    assert all((DOCS / sheet).is_file() for sheet in SITE["extra_css"])
    # A drawing would be made by a script from a CDN
    assert [name for name, text in PAGES.items() if "```mermaid" in text] == []


def test_pictures_have_words_for_those_who_do_not_see_them() -> None:
    for name, text in PAGES.items():
        assert "![](" not in text, name


def test_the_quick_starts_run_the_same_commands() -> None:
    english, japanese = (
        re.findall(r"```sh\n(.*?)```", PAGES[page], re.DOTALL)
        for page in ("start/quick-start.md", "ja/quick-start.md")
    )
    assert len(english) == 6
    # What is asked may be asked in Japanese
    asked = re.compile(r'"[^"]*[ぁ-ん][^"]*"')
    assert [one for one in japanese if not asked.search(one)] == [
        one for one in english if "--thread shop" not in one
    ]
    assert [one for one in japanese if "--thread shop" in one and asked.search(one)] != []


def test_the_quick_start_shows_what_the_server_says() -> None:
    welcome = (PROJECT_DIR / "potluck" / "server" / "welcome.py").read_text("utf-8")
    for words in ("No LLM is connected:", "Open WebUI, OpenAI clients", "potluck (or any)"):
        assert words in PAGES["start/quick-start.md"]
        assert words in welcome


def test_the_guide_to_litellm_runs_the_commands_of_its_folder() -> None:
    readme = (PROJECT_DIR / "integrations" / "litellm" / "README.md").read_text("utf-8")
    commands = re.findall(r"```sh\n(.*?)```", PAGES["clients/litellm.md"], re.DOTALL)
    assert commands == re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)


def test_every_word_of_a_tools_entry_is_explained() -> None:
    words = {field.name for field in fields(ToolSpec)} - {"tool"}
    told = set(re.findall(r"^\| `(\w+)` \|", PAGES["extend/tool.md"], re.MULTILINE))
    assert told == words


def test_generated_pages_are_in_a_folder_of_their_own() -> None:
    from manual.pages import PAGES as MADE  # noqa: PLC0415 - it loads much

    assert {Path(path).parent.name for path in MADE} == {"reference"}
    assert set(MADE) == {name for name in PAGES if name.startswith("reference/")}
