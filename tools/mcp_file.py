"""config/mcp.json: the MCP servers whose tools the agent may use; read and checked."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from potluck.errors import ConfigError

FILE = "mcp.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class ServerForm(BaseModel):
    """One server: a local command, or an address. The words are those of other MCP clients.

    A local command runs in the sandbox, in a folder of its own: `network` lets it reach the
    network from there, `read` and `write` are paths of this machine that it may read or change.
    With `sandbox` false it runs with all the user's rights. `tools` are the only ones to offer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = Field(default_factory=dict)
    type: Literal["stdio", "http", "streamable-http", "streamable_http"] | None = None
    url: str | None = None
    headers: Mapping[str, str] = Field(default_factory=dict)
    disabled: bool = False
    sandbox: bool = True
    network: bool = False
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None
    timeout_s: float = Field(default=60.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either `command` or `url`")
        if self.url is not None and not re.match(r"https?://[^/\s]+", self.url):
            raise ValueError("`url` does not begin with https:// or http://")
        return self


class McpFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: Mapping[str, ServerForm] = Field(default_factory=dict, alias="mcpServers")


def read_mcp_file(
    config_dir: Path, key: Callable[[str], SecretStr | None]
) -> dict[str, ServerForm]:
    """The servers that are not disabled, by name; none when there is no file.

    `${NAME}` in `args`, `env`, `url` and `headers` is replaced by what `key` gives for the name.
    Raises ConfigError with file, line where it is known, and fix.
    """
    file = config_dir / FILE
    if not file.exists():
        return {}
    form = _parse(file)
    for name in form.servers:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"The server's name {name!r} cannot be used.",
                file=file,
                line=None,
                fix="Use letters, digits and dashes, at most 32.",
            )
    return {
        name: _filled(server, partial(_value, server=name, key=key, file=file))
        for name, server in form.servers.items()
        if not server.disabled
    }


def _parse(file: Path) -> McpFile:
    try:
        return McpFile.model_validate(json.loads(file.read_text(encoding="utf-8-sig")))
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"This is not valid JSON: {error.msg}.",
            file=file,
            line=error.lineno,
            fix="Check the commas, quotes and brackets on this line and the one above.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The file cannot be read: {error}.", file=file, line=None, fix="Save it as UTF-8."
        ) from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the file'}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
        raise ConfigError(
            f"It cannot be used: {wrong}.",
            file=file,
            line=None,
            fix='The form is {"mcpServers": {"name": {"command": "...", "args": [...]}}}.',
        ) from error


def _filled(server: ServerForm, value: Callable[[str], str]) -> ServerForm:
    def fill(text: str) -> str:
        return _VARIABLE.sub(lambda found: value(found.group(1)), text)

    return server.model_copy(
        update={
            "args": tuple(map(fill, server.args)),
            "env": {name: fill(text) for name, text in server.env.items()},
            "url": fill(server.url) if server.url is not None else None,
            "headers": {name: fill(text) for name, text in server.headers.items()},
        }
    )


def _value(
    variable: str, *, server: str, key: Callable[[str], SecretStr | None], file: Path
) -> str:
    found = key(variable)
    if found is None:
        raise ConfigError(
            f"The server `{server}` needs {variable}, which is not set.",
            file=file,
            line=None,
            fix=f'Put {variable}=... into .env, or give the server "disabled": true.',
        )
    return found.get_secret_value()
