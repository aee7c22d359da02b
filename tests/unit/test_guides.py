"""What the guides say is there: examples load, and links, names and figures are right."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main
from fastapi import FastAPI
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from starlette.routing import Mount

from graph.state import Context
from nodes.approval import ApprovalRequest
from nodes.parking import ParkedPayload
from potluck.cli import app as command_line
from potluck.providers.catalog_file import load_catalog
from potluck.providers.catalog_form import ModelForm, ProviderForm
from potluck.providers.limits_form import LimitsFile
from potluck.quota.report_form import WindowReport
from potluck.server.approvals import Approval
from potluck.server.openai.approval_card import card_for
from potluck.settings import PROJECT_DIR, Settings
from potluck.simulator.scenario import scenario_names
from tools.mcp_file import ServerForm, read_mcp_file
from tools.registry import REGISTRY
from tools.toolbox import load_toolbox
from tools.tools_file import DatabaseForm, Rules, ToolsFile, WebForm

DOCS = PROJECT_DIR / "docs"
GUIDES = {
    "README.md": PROJECT_DIR / "README.md",
    "CONTRIBUTING.md": PROJECT_DIR / "CONTRIBUTING.md",
    **{page.relative_to(DOCS).as_posix(): page for page in sorted(DOCS.rglob("*.md"))},
}
TEXTS = {name: page.read_text("utf-8") for name, page in GUIDES.items()}
BLOCK = re.compile(
    r'^(?P<indent> *)```(?P<language>\w*)(?: title="[^"]+")?\n(?P<text>.*?)^ *```$',
    re.MULTILINE | re.DOTALL,
)
# Who tries the examples of a page: this file, or the one that is named
TRIED = {
    ("README.md", "sh"): "e2e/test_docs.py",
    ("README.md", "mermaid"): "unit/test_readme.py",
    ("architecture.md", "text"): "unit/test_guides.py",
    ("clients/langgraph.md", "python"): "integration/test_door_examples.py",
    ("clients/langserve.md", "python"): "integration/test_door_examples.py",
    ("clients/litellm.md", "sh"): "unit/test_site.py",
    ("clients/openai.md", "json"): "unit/test_guides.py",
    ("clients/openwebui.md", "json"): "unit/integrations/test_openwebui_settings.py",
    ("clients/openwebui.md", "sh"): "unit/integrations/test_openwebui_settings.py",
    ("clients/responses.md", "python"): "integration/test_door_examples.py",
    ("clients/studio.md", "sh"): "integration/server/test_studio.py",
    ("configuration.md", "yaml"): "unit/providers/test_catalog_file.py",
    ("deploy.md", "sh"): "unit/deploy/test_deploy_guide.py",
    ("evaluation.md", "console"): "unit/test_guides.py",
    ("evaluation.md", "yaml"): "unit/evaluation/test_task_file.py",
    ("events.md", "json"): "unit/test_events.py",
    ("extend/node.md", "diff"): "integration/test_extending.py",
    ("extend/node.md", "python"): "integration/test_extending.py",
    ("extend/node.md", "sh"): "integration/test_extending.py",
    ("extend/provider.md", "yaml"): "integration/test_extending.py",
    ("extend/tool.md", "diff"): "integration/test_extending.py",
    ("extend/tool.md", "python"): "integration/test_extending.py",
    ("extend/tool.md", "sh"): "integration/test_extending.py",
    ("index.md", "sh"): "e2e/test_quick_start.py",
    ("ja/quick-start.md", "sh"): "e2e/test_quick_start.py",
    ("ja/quick-start.md", "text"): "e2e/test_quick_start.py",
    ("memory.md", "python"): "integration/server/test_notes.py",
    ("operations.md", "sh"): "unit/test_guides.py",
    ("metrics.md", "json"): "unit/server/test_metric_names.py",
    ("metrics.md", "text"): "unit/server/test_metric_names.py",
    ("metrics.md", "yaml"): "unit/server/test_metric_names.py",
    ("quota.md", "sh"): "unit/test_guides.py",
    ("quota.md", "text"): "unit/test_guides.py",
    ("quota.md", "yaml"): "unit/test_guides.py",
    ("security.md", "text"): "unit/server/test_auth_keys.py",
    ("simulator.md", "console"): "unit/test_guides.py",
    ("simulator.md", "python"): "integration/test_guide_examples.py",
    ("simulator.md", "yaml"): "unit/simulator/test_scenario.py",
    ("reference/commands.md", "text"): "unit/manual/test_manual_pages.py",
    ("start/quick-start.md", "sh"): "e2e/test_quick_start.py",
    ("start/quick-start.md", "text"): "e2e/test_quick_start.py",
    ("terminal.md", "sh"): "unit/test_guides.py",
    ("tools.md", "json"): "unit/test_guides.py",
    ("tools.md", "sh"): "integration/test_guide_examples.py",
    ("tools.md", "sql"): "integration/test_guide_examples.py",
    ("tools.md", "yaml"): "unit/test_guides.py",
}
# Aegra's; integration/test_door_examples.py asks a running server for them
AEGRA_PATHS = (
    *("/threads", "/runs", "/assistants", "/store", "/crons"),
    *("/health", "/live", "/ready", "/info"),
)
COMMANDS = typer.main.get_group(command_line).commands
LIMITS = LimitsFile.model_fields


def blocks(page: str, *languages: str) -> list[str]:
    """The examples of a page in these languages, without their indentation."""
    return [
        re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        for found in BLOCK.finditer(TEXTS[page])
        if (found["language"] or "text") in languages
    ]


def spans(page: str) -> list[str]:
    """What stands in backticks on a page, outside of its examples."""
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", TEXTS[page]))


def rows(page: str) -> Iterator[list[str]]:
    """The rows of a page's tables, as cells."""
    for line in TEXTS[page].splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def form_of(field: FieldInfo) -> type[BaseModel] | None:
    """The form that a field holds, if it holds one."""
    kind = type(field.default)
    return kind if issubclass(kind, BaseModel) else None


def limit_words() -> Iterator[tuple[str, FieldInfo]]:
    """Every word of limits.yaml, with the words it stands under."""
    for name, field in LIMITS.items():
        form = form_of(field)
        if form is None or name == "routes":
            yield name, field
        else:
            yield from ((f"{name}.{word}", inner) for word, inner in form.model_fields.items())


def command_lines() -> list[str]:
    """Each `potluck ...` that a page tells to run, without its first word."""
    lines = {
        line
        for page in TEXTS
        for line in [*spans(page), *"\n".join(blocks(page, "sh", "console")).splitlines()]
    }
    # The last one of a line: a container or a namespace may be called so, too
    found = (re.search(r"^(?:.*\s)?potluck ([a-z]+.*)$", line) for line in lines)
    return sorted({one[1] for one in found if one})


def _is_of_others(name: str) -> bool:
    """Whether a variable is read by tests, or by LiteLLM with what Potluck brings for it."""
    return name.startswith("POTLUCK_TEST_") or name in {
        "POTLUCK_URL",
        "POTLUCK_OPENAI_URL",
        "POTLUCK_API_KEY",
    }


def paths_of_the_app() -> set[tuple[str, str]]:
    """Method and path of everything that our doors describe."""
    from potluck.server.app import create_app  # noqa: PLC0415 - it loads much

    app = create_app()
    descriptions: list[tuple[str, Mapping[str, Any]]] = [
        ("", app.openapi()),
        *(
            (route.path, route.app.openapi())
            for route in app.routes
            if isinstance(route, Mount) and isinstance(route.app, FastAPI)
        ),
    ]
    return {
        (method.upper(), prefix + path)
        for prefix, described in descriptions
        for path, methods in described["paths"].items()
        for method in methods
    }


class TestExamples:
    def test_each_is_tried_somewhere(self) -> None:
        there = {
            (page, found["language"] or "text")
            for page, text in TEXTS.items()
            for found in BLOCK.finditer(text)
        }
        assert there == set(TRIED)
        for place in set(TRIED.values()):
            assert (PROJECT_DIR / "tests" / place).is_file(), place

    @pytest.mark.parametrize("example", blocks("quota.md", "yaml"))
    def test_limits_load_and_change_something(self, tmp_path: Path, example: str) -> None:
        shipped = (PROJECT_DIR / "config" / "providers.yaml").read_text("utf-8")
        (tmp_path / "providers.yaml").write_text(shipped, "utf-8")
        before = load_catalog(tmp_path)
        (tmp_path / "limits.yaml").write_text(example, "utf-8")
        assert load_catalog(tmp_path) != before

    @pytest.mark.parametrize("example", blocks("tools.md", "yaml"))
    def test_tools_load_and_change_something(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str
    ) -> None:
        for name in re.findall(r"url_env: (\w+)", example):
            monkeypatch.setenv(name, "postgresql://agent@127.0.0.1/shop")
        settings = Settings(potluck_config_dir=tmp_path)
        before = load_toolbox(settings)
        (tmp_path / "tools.yaml").write_text(example, "utf-8")
        assert load_toolbox(settings) != before

    def test_policies_do_what_the_guide_says(self, tmp_path: Path) -> None:
        [example] = [one for one in blocks("tools.md", "yaml") if one.startswith("tools:")]
        (tmp_path / "tools.yaml").write_text(example, "utf-8")
        toolbox = load_toolbox(Settings(potluck_config_dir=tmp_path))

        def policy(name: str, **args: object) -> str:
            return toolbox.rule({"name": name, "args": args, "id": "1"}).policy

        assert policy("shell", command="ls -l") == "allow"
        assert policy("shell", command="git log --oneline") == "allow"
        assert policy("shell", command="ls; rm -rf .") == "deny"
        assert policy("shell", command="ls > y") == "ask"
        assert policy("write_file", path="a", text="b") == "ask"
        assert policy("calculator", expression="1") == "ask"
        assert "get_weather" not in {tool.name for tool in toolbox.offered}

    @pytest.mark.parametrize("example", blocks("tools.md", "json"))
    def test_mcp_servers_load(self, tmp_path: Path, example: str) -> None:
        (tmp_path / "mcp.json").write_text(example, "utf-8")
        servers = read_mcp_file(tmp_path, lambda name: SecretStr(f"the {name}"))
        assert set(servers) == set(json.loads(example)["mcpServers"])
        assert servers["docs"].headers == {"Authorization": "Bearer the DOCS_TOKEN"}

    def test_the_card_that_is_shown_is_the_one_that_is_sent(self) -> None:
        shown = json.loads(blocks("clients/openai.md", "json")[0])
        asked = Approval("1", "shell", {"command": "make"}, "It asks before it runs.")
        sent = json.loads(card_for([asked]).arguments)
        assert shown.keys() == sent.keys()
        [question], [asked_about] = shown["questions"], sent["questions"]
        assert question.keys() == asked_about.keys()
        assert question["id"] == asked_about["id"]
        assert question["header"] == asked_about["header"]
        labels = [option["label"] for option in asked_about["options"]]
        assert [option["label"] for option in question["options"]] == labels
        assert shown["timeout_ms"] == sent["timeout_ms"]

    def test_the_usage_that_is_shown_has_the_columns_of_the_command(self) -> None:
        [shown] = blocks("quota.md", "text")
        printer = (PROJECT_DIR / "potluck" / "terminal" / "usage_table.py").read_text("utf-8")
        for column in re.split(r"\s{2,}", shown.splitlines()[0]):
            assert f'"{column}"' in printer

    def test_the_tree_is_there(self) -> None:
        [tree] = blocks("architecture.md", "text")
        folder = PROJECT_DIR
        for line in tree.splitlines():
            names = re.split(r"\s{2,}", line.strip())[0].split()
            inner = folder if line.startswith(" ") else PROJECT_DIR
            for name in names:
                assert (inner / name).exists(), f"{inner.name}/{name}"
            if not line.startswith(" "):
                folder = PROJECT_DIR / names[0]


class TestLinks:
    def test_each_leads_to_a_heading_that_is_there(self) -> None:
        for name, text in TEXTS.items():
            for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", text):
                page = (GUIDES[name].parent / target).resolve() if target else GUIDES[name]
                headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
                known = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
                assert anchor in known, f"{name}: {target}#{anchor}"

    def test_the_readme_leads_to_every_guide(self) -> None:
        for page in (PROJECT_DIR / "docs").glob("*.md"):
            assert f"](docs/{page.name})" in TEXTS["README.md"]

    def test_every_file_that_is_named_is_there(self) -> None:
        files = {path.name for path in PROJECT_DIR.glob("[!.]*/**/*.py")}
        for name, text in TEXTS.items():
            for span in spans(name):
                if f'title="{span}"' in text:
                    continue  # a file that the page itself makes
                if re.fullmatch(r"\w+/[\w/.-]+\.(py|yaml|sql|md)", span):
                    assert (PROJECT_DIR / span).is_file(), f"{name}: {span}"
                elif re.fullmatch(r"\w+\.py", span):
                    assert span in files, f"{name}: {span}"


class TestCommands:
    def test_the_readme_lists_them_all(self) -> None:
        cells = [re.fullmatch(r"`potluck (\w+)`", row[0]) for row in rows("README.md")]
        assert {cell[1] for cell in cells if cell} == set(COMMANDS)

    @pytest.mark.parametrize("line", command_lines())
    def test_each_that_is_told_exists_with_its_options(self, line: str) -> None:
        name, *words = shlex.split(line)
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
        if "--scenario" in words:
            assert words[words.index("--scenario") + 1] in scenario_names()

    def test_every_option_that_is_named_exists(self) -> None:
        known = {
            option
            for command in COMMANDS.values()
            for parameter in command.params
            for option in parameter.opts
        }
        for name in TEXTS:
            named = {span.split()[0] for span in spans(name) if span.startswith("--")}
            assert named <= known | {"--quick", "--help"}, name

    def test_every_benchmark_that_is_named_exists(self) -> None:
        named = set(re.findall(r"benchmarks\.(\w+)", "\n".join(TEXTS.values())))
        assert {"serve", "failover", "quota", "sandbox"} <= named
        for name in named:
            text = (PROJECT_DIR / "benchmarks" / f"{name}.py").read_text("utf-8")
            assert '"--quick"' in text


class TestNames:
    def test_every_setting_is_explained_and_no_other(self) -> None:
        settings = {name.upper() for name in Settings.model_fields}
        explained = {name for cells in rows("configuration.md") for name in names_in(cells[0])}
        assert settings <= explained
        named = set(re.findall(r"\bPOTLUCK_[A-Z_]+\b", "\n".join(TEXTS.values())))
        assert {name for name in named if not _is_of_others(name)} <= settings

    def test_every_key_that_is_named_is_in_the_env_file(self) -> None:
        env_file = (PROJECT_DIR / ".env.example").read_text("utf-8")
        named = {
            name
            for page in ("README.md", "configuration.md", "quota.md", "tools.md")
            for span in [*spans(page), *"\n".join(blocks(page, "sh")).splitlines()]
            for name in re.findall(r"^([A-Z]+(?:_[A-Z]+)*_(?:KEY|TOKEN|URL|ID))(?:=|$)", span)
        }
        assert {"GOOGLE_API_KEY", "TAVILY_API_KEY", "DATABASE_URL"} <= named
        for name in named:
            assert re.search(rf"^(# )?{name}=", env_file, re.MULTILINE), name

    def test_settings_of_the_sandbox_have_the_defaults_that_are_told(self) -> None:
        told = {
            names_in(cells[0])[0]: cells[-1].strip("`")
            for cells in rows("tools.md")
            if cells[0].startswith("`POTLUCK_SANDBOX")
        }
        fields = {n: f for n, f in Settings.model_fields.items() if n.startswith("potluck_sandbox")}
        assert set(told) == {name.upper() for name in fields}
        for name, field in fields.items():
            if field.default is not None:
                shown = f"{field.default:g}" if isinstance(field.default, float) else field.default
                assert told[name.upper()] == str(shown).lower()

    def test_every_word_of_limits_yaml_is_explained_with_its_default(self) -> None:
        told = {
            name: cells[-1].strip("`") for cells in rows("configuration.md")
            for name in names_in(cells[0])
        }  # fmt: skip
        for word, field in limit_words():
            assert word in told, word
            if isinstance(field.default, bool):
                assert told[word] == str(field.default).lower()
            elif isinstance(field.default, int | float):
                assert told[word] == f"{field.default:g}", word

    def test_no_page_names_a_word_of_limits_yaml_that_is_not_there(self) -> None:
        known = dict(limit_words())
        for name in TEXTS:
            for span in spans(name):
                first, _, rest = span.partition(".")
                if first in LIMITS and rest != "py" and re.fullmatch(r"[a-z_]+", rest):
                    assert span in known, f"{name}: {span}"

    def test_the_guide_to_quota_uses_words_that_there_are(self) -> None:
        forms = (LimitsFile, ProviderForm, ModelForm, WindowReport)
        known = {word for form in forms for word in form.model_fields} | {"thread_id"}
        known |= {word.rpartition(".")[2] for word, _ in limit_words()}
        known |= set(Context.__annotations__) | set(ParkedPayload.__annotations__)
        used = {span for span in spans("quota.md") if re.fullmatch(r"[a-z]+(_[a-z]+)+", span)}
        assert used <= known

    def test_the_guide_to_tools_uses_words_that_there_are(self) -> None:
        forms = (ToolsFile, Rules, DatabaseForm, WebForm, ServerForm)
        known = {word for form in forms for word in form.model_fields} | {"thread_id"}
        known |= {spec.tool.name for spec in REGISTRY} | set(Context.__annotations__)
        known |= set(ApprovalRequest.__annotations__)
        used = {
            span for span in spans("tools.md")
            if re.fullmatch(r"[a-z]+(_[a-z]+)+", span) and not span.startswith("mcp_")
        }  # fmt: skip
        assert used <= known
        for word in {word for form in forms for word in form.model_fields}:
            assert re.search(rf"\b{word}\b", TEXTS["tools.md"]), word

    def test_every_tool_is_listed_with_its_policy(self) -> None:
        listed = {
            name: cells[-1] for cells in rows("tools.md") if len(cells) == 3
            for name in names_in(cells[0])
        }  # fmt: skip
        assert {spec.tool.name: spec.policy for spec in REGISTRY}.items() <= listed.items()

    def test_every_word_of_mcp_json_is_explained(self) -> None:
        explained = {name for cells in rows("tools.md") for name in names_in(cells[0])}
        assert set(ServerForm.model_fields) <= explained

    def test_every_endpoint_that_is_named_is_there(self) -> None:
        app = paths_of_the_app()
        simulator = (PROJECT_DIR / "potluck" / "simulator" / "app.py").read_text("utf-8")
        asked = [
            found.groups()
            for name in TEXTS
            for span in spans(name)
            if (found := re.match(r"(GET|POST|PUT|PATCH|DELETE) (/[^\s?]*)", span))
        ]
        assert ("DELETE", "/quota/parked/{thread_id}") in asked
        for method, path in asked:
            if path.startswith("/_sim/"):
                assert f'"{path}"' in simulator
            elif not path.startswith(AEGRA_PATHS):
                assert (method, path) in app
        for name in TEXTS:
            for span in spans(name):
                if re.fullmatch(r"/(v1|quota|agent)(/(?!playground)[\w/]*)?", span):
                    # The last is where OpenTelemetry's collectors listen
                    known = {*(path for _, path in app), "/v1/traces"}
                    assert any(f"{path}/".startswith(f"{span}/") for path in known), span
