"""The tools of this process: what is offered to models, what may run, what it is set up with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool

from potluck.errors import ConfigError
from potluck.settings import Settings
from tools.options import Database, ToolOptions
from tools.policies import Policies, Ruling
from tools.registry import REGISTRY, ToolSpec
from tools.tools_file import FILE, DatabaseForm, ToolsFile, read_tools_file


@dataclass(frozen=True)
class Toolbox:
    """Every tool there is, with the policies and options of config/tools.yaml."""

    specs: tuple[ToolSpec, ...] = REGISTRY
    policies: Policies = field(default_factory=Policies)
    options: ToolOptions = field(default_factory=ToolOptions)

    @cached_property
    def offered(self) -> tuple[BaseTool, ...]:
        """The tools to bind to a model: all but those that are denied or lack what they need."""
        return tuple(
            spec.tool
            for spec in self.specs
            if spec.available(self.options) and not self._is_denied(spec)
        )

    def spec(self, name: str) -> ToolSpec | None:
        """The tool of that name, or None."""
        return next((spec for spec in self.specs if spec.tool.name == name), None)

    def rule(self, call: ToolCall) -> Ruling:
        """Whether this call may run. One of a tool that nobody knows may: it fails by itself."""
        known = self.spec(call["name"])
        return self.policies.rule(call["name"], call["args"], known.policy if known else "allow")

    def asking(self, names: Collection[str]) -> "Toolbox":
        """The same tools, those of these names only with a person's approval."""
        specs = (
            replace(spec, policy="ask") if spec.tool.name in names else spec for spec in self.specs
        )
        return replace(self, specs=tuple(specs))

    def _is_denied(self, spec: ToolSpec) -> bool:
        return self.policies.is_denied(spec.tool.name, spec.policy)


def load_toolbox(settings: Settings, more: Sequence[ToolSpec] = ()) -> Toolbox:
    """The registry and `more` tools, set up as config/tools.yaml and .env say.

    Raises ConfigError with file, line and fix.
    """
    specs = (*REGISTRY, *more)
    names = [spec.tool.name for spec in specs]
    form = read_tools_file(settings.potluck_config_dir, names)
    return Toolbox(specs, Policies.of(form), _options(form, settings))


def _options(form: ToolsFile, settings: Settings) -> ToolOptions:
    return ToolOptions(
        allowed_networks=tuple(form.web.allow_networks),
        allowed_ports=frozenset(form.web.allow_ports),
        searxng_url=form.web.searxng_url,
        tavily_key=settings.key("TAVILY_API_KEY"),
        databases={name: _database(name, one, settings) for name, one in form.databases.items()},
    )


def _database(name: str, form: DatabaseForm, settings: Settings) -> Database:
    if form.file is not None:
        return Database(file=Path(form.file).expanduser().resolve(), write=form.write)
    url = settings.key(form.url_env or "")
    if url is None:
        raise ConfigError(
            f"The database `{name}` has its URL in {form.url_env}, which is not set.",
            file=settings.potluck_config_dir / FILE,
            line=None,
            fix=f"Put {form.url_env}=postgresql://... into .env, or take `{name}` out.",
        )
    return Database(url=url, write=form.write)
