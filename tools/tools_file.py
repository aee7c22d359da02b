"""config/tools.yaml: policies of tools, and what tools are set up with; read and checked."""

import ipaddress
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from potluck.yaml_document import Document, Place, Problem, config_error, read_document
from potluck.yaml_form import Form, check_form

Policy = Literal["allow", "ask", "deny"]

FILE = "tools.yaml"
_DESCRIBED = "allow, ask or deny"
_PATTERNS = "a list of mappings of argument names to patterns"
_REGEX = "re:"


class Rules(Form):
    """A tool's policy, and the calls that are treated in another way."""

    policy: Policy | None = Field(default=None, description=_DESCRIBED)
    allow: list[dict[str, str]] = Field(default=[], description=_PATTERNS)
    ask: list[dict[str, str]] = Field(default=[], description=_PATTERNS)
    deny: list[dict[str, str]] = Field(default=[], description=_PATTERNS)

    @field_validator("allow", "ask", "deny")
    @classmethod
    def _readable(cls, patterns: list[dict[str, str]]) -> list[dict[str, str]]:
        for pattern in patterns:
            if not pattern:
                raise ValueError("an empty pattern would match every call")
            for text in pattern.values():
                if is_regex(text):
                    compiled(text)
        return patterns


class DatabaseForm(Form):
    """A database that the agent may query."""

    url_env: str | None = Field(
        default=None, description="the name of a variable in .env that holds a PostgreSQL URL"
    )
    file: str | None = Field(default=None, description="the path of a SQLite file")
    write: bool = Field(default=False, description="true or false")

    @model_validator(mode="after")
    def _one_place(self) -> "DatabaseForm":
        if (self.url_env is None) == (self.file is None):
            raise ValueError("it needs either url_env or file")
        return self


class WebForm(Form):
    """Where web pages may come from, and who searches."""

    allow_networks: list[str] = Field(
        default=[], description="a list of networks, such as 192.168.1.0/24"
    )
    allow_ports: list[int] = Field(default=[80, 443, 8080, 8443], description="a list of ports")
    searxng_url: str | None = Field(default=None, description="the address of a SearXNG server")

    @field_validator("allow_networks")
    @classmethod
    def _networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks

    @field_validator("searxng_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"https?://[^/\s]+", url):
            raise ValueError("it does not begin with https:// or http://")
        return url


class ToolsFile(Form):
    """The whole file."""

    default: Policy | None = Field(default=None, description=_DESCRIBED)
    tools: dict[str, Policy | Rules] = Field(
        default={}, description="names of tools, each with allow, ask, deny or a mapping"
    )
    databases: dict[str, DatabaseForm] = Field(
        default={}, description="names of databases, each with url_env or file"
    )
    web: WebForm = Field(default=WebForm(), description="a mapping")


def read_tools_file(config_dir: Path, known: Sequence[str]) -> ToolsFile:
    """Read tools.yaml; all defaults when there is none.

    `known` are the tools there are, those of MCP servers apart. Raises ConfigError with file,
    line and fix.
    """
    file = config_dir / FILE
    if not file.exists():
        return ToolsFile()
    document = read_document(file)
    problems: list[Problem] = []
    form = check_form(ToolsFile, document, problems)
    if form is not None:
        problems += _unknown(document, form, known)
    if problems or form is None:
        raise config_error(problems)
    return form


def _unknown(document: Document, form: ToolsFile, known: Sequence[str]) -> list[Problem]:
    """Names without a tool: a slip here would leave a tool less guarded than its owner thinks."""
    problems = []
    for name in form.tools:
        # Tools of MCP servers are known only when the servers run.
        if any(mark in name for mark in "*?[") or name.startswith("mcp_") or name in known:
            continue
        place: Place = ("tools", name)
        fix = f"Use one of: {', '.join(known)}, or a pattern such as `mcp_*`."
        problems.append(document.problem(place, f"There is no tool `{name}`.", fix))
    return problems


def is_regex(pattern: str) -> bool:
    """Whether a pattern is a regular expression; else it is a glob."""
    return pattern.startswith(_REGEX)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern. Raises ValueError."""
    try:
        return re.compile(pattern.removeprefix(_REGEX), re.DOTALL)
    except re.error as error:
        raise ValueError(f"{pattern} is no regular expression ({error})") from error
