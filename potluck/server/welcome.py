"""What a user needs to know when the server is up."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import typer
from rich.console import Console

from potluck.providers.catalog import OFFLINE, ProviderStatus
from potluck.server.address import Address
from potluck.server.logs import is_json
from potluck.settings import Settings


@dataclass(frozen=True, slots=True)
class Welcome:
    """The lines printed once requests are answered."""

    settings: Settings
    address: Address
    env_file_is_new: bool

    def print(self, statuses: Iterable[ProviderStatus]) -> None:
        """Say who answers, who does not and why, and where each door is."""
        if is_json(self.settings):
            self._print_json(statuses)
            return
        # No wrapping: addresses are there to be copied.
        console = Console(soft_wrap=True, highlight=False)
        url = self.address.url
        console.print(f"\n[bold]Potluck[/bold] serves on [cyan]{url}[/cyan]\n")
        for line in _providers([s for s in statuses if s.provider.id != OFFLINE]):
            console.print(f"  {line}")
        key = "one of POTLUCK_API_KEYS" if self.settings.potluck_api_keys else "potluck (or any)"
        studio = f"https://smith.langchain.com/studio/?baseUrl={quote(url, safe='')}"
        console.print(f"\n  Open WebUI, OpenAI clients   base URL  [cyan]{url}/v1[/cyan]")
        console.print(f"                               API key   {key}")
        console.print("                               model     potluck")
        console.print(f"  LangGraph Studio             [cyan]{studio}[/cyan]")
        console.print(f"  LangServe playground         [cyan]{url}/agent/playground/[/cyan]")
        console.print(f"  Dashboard                    [cyan]{url}/dashboard[/cyan]")
        console.print("  Terminal                     uv run potluck chat")
        if self.env_file_is_new:
            console.print(f"\n  Made {self.settings.potluck_env_file}: your keys go there.")
        console.print()

    def _print_json(self, statuses: Iterable[ProviderStatus]) -> None:
        """One line in the form of the logs, at whatever level they begin."""
        told = {
            "timestamp": datetime.now(UTC).isoformat(),
            "level": "info",
            "event": f"Potluck serves on {self.address.url}",
            "logger": "potluck.server.welcome",
            "url": self.address.url,
            "providers": sorted(s.provider.id for s in statuses if s.on),
        }
        typer.echo(json.dumps(told, ensure_ascii=False))


def _providers(statuses: list[ProviderStatus]) -> list[str]:
    lines = []
    for status in (s for s in statuses if s.on):
        models = ", ".join(model.id for model in status.provider.models)
        lines.append(f"[green]on [/green]  {status.provider.id}: {models}")
    if not lines:
        lines.append("[yellow]No LLM is connected:[/yellow] the offline model answers basics.")
    for status in (s for s in statuses if not s.on):
        where = status.provider.get_key_url
        free = f" (key: {where})" if where and "not set" in status.reason else ""
        lines.append(f"[dim]off  {status.provider.id}: {status.reason}{free}[/dim]")
    return lines
