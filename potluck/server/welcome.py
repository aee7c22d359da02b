"""What a user needs to know when the server is up."""

from urllib.parse import quote

from rich.console import Console

from potluck.providers.catalog import OFFLINE, ProviderStatus
from potluck.server.address import Address
from potluck.settings import Settings


def print_welcome(
    console: Console,
    address: Address,
    found: list[ProviderStatus],
    settings: Settings,
    *,
    new_env_file: bool,
) -> None:
    """Print who answers, and where each door is."""
    on = [status for status in found if status.on and status.provider.id != OFFLINE]
    off = [status for status in found if not status.on]
    console.print(f"\n[bold]Potluck[/bold] serves on [cyan]{address.url}[/cyan]\n")
    if new_env_file:
        console.print(f"  Made {Settings.env_file}: put your keys there, then start again.\n")
    for status in on:
        models = ", ".join(model.id for model in status.provider.models)
        console.print(f"  [green]on [/green] {status.provider.id}: {models}")
    if not on:
        console.print("  [yellow]No LLM is connected[/yellow]: the offline model answers basics.")
    for status in off:
        where = f" (free key: {status.provider.get_key_url})" if status.provider.get_key_url else ""
        console.print(f"  [dim]off {status.provider.id}: {status.reason}{where}[/dim]")
    key = "a key of POTLUCK_API_KEYS" if settings.potluck_api_keys else "any text, say `potluck`"
    studio = f"https://smith.langchain.com/studio/?baseUrl={quote(address.url, safe='')}"
    console.print(f"\n  Open WebUI, OpenAI clients  base URL [cyan]{address.url}/v1[/cyan]")
    console.print(f"                              API key  {key}; model `potluck`")
    console.print(f"  LangGraph Studio            [cyan]{studio}[/cyan]")
    console.print(f"  LangServe                   [cyan]{address.url}/agent/playground/[/cyan]")
    console.print("  Terminal                    uv run potluck chat\n")
