"""The reference of everything that can be set: .env, the YAML files, mcp.json, a run's context."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from typing import get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from graph import state
from manual import meanings
from manual.kinds import NOTHING, default_words, kind_words, taken_by
from manual.markdown import code, table
from potluck.providers.catalog_form import (
    CreditsForm,
    LimitsForm,
    ModelForm,
    PriceForm,
    ProviderForm,
    RoutesForm,
)
from potluck.providers.limits_form import LimitsFile
from potluck.settings import Settings
from tools.mcp_file import ServerForm
from tools.tools_file import DatabaseForm, Rules, ToolsFile, WebForm

Rows = Iterator[tuple[str, ...]]
_UNTOLD = ("", "")

INTRO = """\
# Every setting

Each word of `.env`, of the files in `config/`, and of a run's context: what it takes, and what
holds without it. The [guide to configuration](../configuration.md) tells how they work together.
Nothing unknown is taken: a slip stops the start, and the message says where it is and how to mend
it."""
PROVIDERS = """\
## `config/providers.yaml`

`providers` names each provider, `routes` who is asked first. Words of a provider:"""
TOOLS = """\
## `config/tools.yaml`

[Which calls may run](../tools.md#which-calls-may-run), [databases](../tools.md#databases) and
[the web](../tools.md#the-web) are explained with examples."""
MCP = """\
## `config/mcp.json`

`mcpServers` names each [server](../tools.md#mcp-servers). Its words:"""
CONTEXT = """\
## A run's context

What a caller may set for one run: as `context` over the [LangGraph API](../clients/langgraph.md),
as `config.configurable` at the [LangServe door](../clients/langserve.md#configuration)."""


def configuration_page() -> str:
    """The whole page."""
    parts = [
        INTRO,
        "## `.env`\n\nA variable of the environment beats the same one in the file.",
        _settings_table(),
        PROVIDERS,
        _form_table(ProviderForm, meanings.provider_meanings()),
        "Words of a model:",
        _form_table(ModelForm, meanings.model_meanings()),
        "Limits, of a provider, of a model and in `rate_limits`; what nobody states is left out:",
        _short_table(LimitsForm),
        "A `price`:",
        _short_table(PriceForm),
        "What a model takes of the account's `credits`:",
        _short_table(CreditsForm),
        "`routes`, for each type of task:",
        _short_table(RoutesForm),
        "## `config/limits.yaml`",
        table(("word", "takes", "default", "meaning"), _limits_rows()),
        TOOLS,
        _form_table(ToolsFile, meanings.tools_meanings()),
        "A tool in `tools`, where it is more than one word:",
        _form_table(Rules, meanings.tools_meanings()),
        "A database in `databases`:",
        _form_table(DatabaseForm, meanings.tools_meanings()),
        "`web`:",
        _form_table(WebForm, meanings.tools_meanings()),
        MCP,
        _form_table(ServerForm, meanings.server_meanings()),
        CONTEXT,
        table(("word", "takes", "meaning"), _context_rows()),
    ]
    return "\n\n".join(parts)


def limit_words() -> Iterator[tuple[str, FieldInfo]]:
    """Every word of limits.yaml, with the one it stands under."""
    for name, field in LimitsFile.model_fields.items():
        form = field.default
        if isinstance(form, BaseModel) and not isinstance(form, RoutesForm):
            yield from ((f"{name}.{word}", one) for word, one in type(form).model_fields.items())
        else:
            yield name, field


def _settings_table() -> str:
    told = meanings.setting_meanings()
    rows = []
    for name, field in Settings.model_fields.items():
        meaning, _ = told.get(name.upper(), _UNTOLD)
        row = (code(name.upper()), _taken_by_setting(field), _default(field, told, name.upper()))
        rows.append((*row, meaning))
    return table(("setting", "takes", "default", "meaning"), rows)


def _taken_by_setting(field: FieldInfo) -> str:
    words = taken_by(field)
    return f"{words}, separated by commas" if words == "a list" else words


def _form_table(form: type[BaseModel], told: meanings.Meanings) -> str:
    rows = [
        (code(name), taken_by(field), _default(field, told, name), told.get(name, _UNTOLD)[0])
        for name, field in form.model_fields.items()
    ]
    return table(("word", "takes", "default", "meaning"), rows)


def _short_table(form: type[BaseModel]) -> str:
    rows = [
        (code(name), taken_by(field), _default(field, {}, name))
        for name, field in form.model_fields.items()
    ]
    return table(("word", "takes", "default"), rows)


def _default(field: FieldInfo, told: meanings.Meanings, name: str) -> str:
    """The code's, or the guide's words for one that depends on the machine or on other words."""
    known = NOTHING if isinstance(field.default, BaseModel) else default_words(field)
    return told.get(name, _UNTOLD)[1] or known if known == NOTHING else known


def _limits_rows() -> Rows:
    told = meanings.limits_meanings()
    for word, field in limit_words():
        meaning, _ = told.get(word, _UNTOLD)
        yield code(word), taken_by(field), _default(field, told, word), meaning


def _context_rows() -> Rows:
    meant = context_meanings()
    for name, kind in get_type_hints(state.Context, include_extras=True).items():
        yield code(name), kind_words(kind), meant.get(name, "")


def context_meanings() -> Mapping[str, str]:
    """The text below each field of the context, as its class has it."""
    [body] = ast.parse(inspect.getsource(state.Context)).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - for the type checker
    found: dict[str, str] = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        match before, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found
