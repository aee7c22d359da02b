"""Pages made from the code: they are as the code is, and leave nothing out."""

from datetime import date
from pathlib import Path

import pytest
import typer

from manual import pages
from manual.__main__ import main
from manual.configuration_page import context_meanings, limit_words
from manual.kinds import kind_words
from manual.markdown import cells, from_elsewhere, table
from manual.meanings import (
    limits_meanings,
    provider_meanings,
    setting_meanings,
    tools_meanings,
)
from manual.pages import NOTE, old_pages, page_text, write_pages
from manual.provider_notes import provider_notes
from manual.providers_page import anchor, key_names, provider_forms
from potluck.settings import PROJECT_DIR, Settings
from tools.tools_file import DatabaseForm, Rules, ToolsFile, WebForm

CONFIGURATION = page_text("reference/configuration.md")
PROVIDERS = page_text("reference/providers.md")


def test_every_page_is_as_the_code_is() -> None:
    assert old_pages() == [], "renew them: uv run python -m manual"


def test_a_page_that_differs_is_old_until_it_is_written(tmp_path: Path) -> None:
    assert old_pages(tmp_path) == list(pages.PAGES)
    write_pages(tmp_path)
    assert old_pages(tmp_path) == []
    page = tmp_path / "reference" / "commands.md"
    page.write_text(f"{page.read_text('utf-8')}\nby hand", "utf-8")
    assert old_pages(tmp_path) == ["reference/commands.md"]


def test_the_command_only_names_old_pages_when_it_is_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("manual.__main__.old_pages", lambda: ["reference/commands.md"])
    monkeypatch.setattr("manual.__main__.write_pages", lambda: pytest.fail("it wrote"))
    with pytest.raises(typer.Exit) as left:
        main(check=True)
    assert left.value.exit_code == 1
    printed = capsys.readouterr()
    assert printed.out == "reference/commands.md\n"
    assert "uv run python -m manual" in printed.err


def test_the_command_writes_and_names_what_it_renewed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[str] = []
    monkeypatch.setattr("manual.__main__.old_pages", lambda: ["reference/commands.md"])
    monkeypatch.setattr("manual.__main__.write_pages", lambda: written.append("all"))
    main(check=False)
    assert (written, capsys.readouterr().out) == (["all"], "reference/commands.md\n")


def test_each_says_that_it_is_not_to_be_edited_and_names_no_folder_of_this_machine() -> None:
    for path in pages.PAGES:
        text = page_text(path)
        assert text.startswith(NOTE)
        assert str(PROJECT_DIR) not in text
        assert str(Path.home()) not in text


class TestConfiguration:
    def test_every_setting_has_a_row_with_its_meaning(self) -> None:
        meant = setting_meanings()
        for name in Settings.model_fields:
            assert f"| `{name.upper()}` |" in CONFIGURATION
            assert meant[name.upper()][0], name

    def test_every_word_of_the_files_has_its_meaning(self) -> None:
        words = [word for word, _ in limit_words()]
        assert [word for word in words if not limits_meanings().get(word, ("",))[0]] == []
        for form in provider_forms().values():
            assert set(form.model_fields_set) <= set(provider_meanings())

    def test_every_word_of_tools_yaml_has_its_meaning(self) -> None:
        words = {
            word for form in (ToolsFile, Rules, DatabaseForm, WebForm) for word in form.model_fields
        }
        assert words == set(tools_meanings())
        assert [word for word, (meaning, _) in tools_meanings().items() if not meaning] == []

    def test_every_file_of_the_folder_has_its_section(self) -> None:
        files = [*(PROJECT_DIR / "config").glob("*.yaml"), Path("config/mcp.json")]
        for file in files:
            assert f"## `config/{file.name}`" in CONFIGURATION

    def test_every_word_of_a_runs_context_has_its_meaning(self) -> None:
        meant = context_meanings()
        assert "Asia/Tokyo" in meant["timezone"]
        section = CONFIGURATION.partition("## A run's context")[2]
        rows = [cells(line) for line in section.splitlines() if line.startswith("| `")]
        assert {"model", "privacy", "max_calls"} <= {row[0].strip("`") for row in rows}
        assert [row[0] for row in rows if not row[1]] == []

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            (bool, "`true` or `false`"),
            (int | None, "a whole number"),
            (Path, "a path"),
            (tuple[str, ...], "a list"),
            (dict[str, int], "a mapping"),
        ],
    )
    def test_types_are_told_in_words(self, kind: object, words: str) -> None:
        assert kind_words(kind) == words

    def test_a_bound_is_told(self) -> None:
        [row] = [
            line for line in CONFIGURATION.splitlines() if "`POTLUCK_SANDBOX_TIMEOUT_S`" in line
        ]
        assert "a number above 0 and up to 3,600" in row
        assert "`300`" in row


class TestProviders:
    def test_there_are_notes_of_each_and_no_other(self) -> None:
        assert list(provider_notes()) == list(provider_forms())

    def test_each_way_to_a_key_leads_to_its_page_and_its_variable(self) -> None:
        for name, form in provider_forms().items():
            steps = " ".join(provider_notes()[name].steps)
            assert str(form.get_key_url) in steps, name
            for key in key_names(form):
                assert f"`{key}`" in steps, name

    def test_every_key_has_its_line_in_the_env_file(self) -> None:
        example = (PROJECT_DIR / ".env.example").read_text("utf-8")
        for form in provider_forms().values():
            names = key_names(form)
            lines = {line.partition("=")[0] for line in example.splitlines()}
            assert not names or lines & set(names)

    def test_notes_agree_with_the_catalog_about_training(self) -> None:
        for name, form in provider_forms().items():
            said = provider_notes()[name].data.lower()
            if form.trains_on_prompts == "no":
                assert "not train" in said or "nothing leaves" in said or "not used" in said, name
            if form.trains_on_prompts == "yes":
                assert "may" in said or "logged" in said, name

    def test_facts_have_a_day_and_a_page(self) -> None:
        for name, notes in provider_notes().items():
            assert notes.checked_on <= date(2026, 11, 21), name
            assert all(source.startswith("https://") for source in notes.sources), name

    def test_figures_are_those_of_the_catalog(self) -> None:
        groq = PROVIDERS.partition("## Groq")[2].partition("\n## ")[0]
        assert "30 requests a minute, 1,000 requests a day" in groq
        assert "`groq/openai/gpt-oss-120b`" in groq
        cloudflare = PROVIDERS.partition("## Cloudflare Workers AI")[2]
        assert "10,000 neurons a day" in cloudflare

    def test_every_provider_is_reached_from_the_table(self) -> None:
        for notes in provider_notes().values():
            assert f"](#{anchor(notes.title)})" in PROVIDERS
            assert f"\n## {notes.title}\n" in PROVIDERS


def test_a_bar_in_a_cell_does_not_break_the_table() -> None:
    line = table(("a", "b"), [("x | y", "z")]).splitlines()[-1]
    assert cells(line) == [r"x \| y", "z"]


def test_links_of_a_guide_are_moved_along() -> None:
    text = "[a](tools.md#x), [b](#limits), [c](https://example.com)"
    moved = "[a](../tools.md#x), [b](../configuration.md#limits), [c](https://example.com)"
    assert from_elsewhere(text, "configuration.md") == moved
