"""Long-term notes: what the user wants to be remembered in other conversations, too."""

from langchain_core.tools import tool

from tools.notebook import current_notebook


@tool(parse_docstring=True)
async def remember(text: str) -> str:
    """Keep a fact about the user for all later conversations, when the user asks for it.

    Args:
        text: The fact, as one short sentence. No passwords or keys.
    """
    note = await current_notebook().add(text)
    return f"Noted as [{note.id}]: {note.text}"


@tool(parse_docstring=True)
async def forget(note: str) -> str:
    """Delete a note that was kept for the user.

    Args:
        note: Its id or its words; `all` for every note.
    """
    gone = await current_notebook().remove(note)
    if not gone:
        return "There are no notes."
    return "Forgotten: " + "; ".join(one.text for one in gone)
