"""What a shell suggests for models and threads; silent where it cannot know."""

import re

from potluck.errors import PotluckError

SHOWN = 20
_SIGNS = re.compile(r"[^\w .,!?-]")
TIMEOUT_S = 2.0


def complete_model(incomplete: str) -> list[str]:
    """The models of the catalog that begin so, or have a part that does."""
    from potluck.providers.catalog_file import load_catalog  # noqa: PLC0415 - quick --help
    from potluck.settings import Settings  # noqa: PLC0415 - quick --help

    try:
        catalog = load_catalog(Settings.load().potluck_config_dir)
    except PotluckError:
        return []
    refs = [model.ref for model in catalog.models()]
    return [ref for ref in refs if ref.startswith(incomplete)]


def complete_thread(incomplete: str) -> list[tuple[str, str]]:
    """The threads of the running server that were used last, each with what it is about."""
    import asyncio  # noqa: PLC0415 - quick --help

    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal.conversation import connect  # noqa: PLC0415 - quick --help
    from potluck.terminal.running import find  # noqa: PLC0415 - quick --help
    from potluck.terminal.threads import ThreadLine, recent  # noqa: PLC0415 - quick --help

    async def listed() -> list[ThreadLine]:
        running = find(Settings.load())
        if running is None:
            return []
        async with asyncio.timeout(TIMEOUT_S), connect(running) as client:
            return await recent(client, limit=SHOWN)

    try:
        found = asyncio.run(listed())
    except (PotluckError, TimeoutError):
        return []
    return [(line.id, harmless(line.title)) for line in found if line.id.startswith(incomplete)]


def harmless(title: str) -> str:
    """A title without signs that a shell could take for its own: zsh evaluates what it gets."""
    return " ".join(_SIGNS.sub(" ", title).split())
