"""Orders to run given code or a given command, in a request in plain words."""

import ast
import re
import shlex

from potluck.providers.offline_intent import Background, Intent
from potluck.providers.offline_quotes import QUOTE, Quoted

_LETTERS = QUOTE[1:-1]
_RUN = r"\b(?:run|execute)\b"
_PYTHON = r"(?:python3?|パイソン)"
_SHELL = r"(?:shell|bash|terminal|commands?|シェル|コマンド|ターミナル)"
_FILLERS = (
    r"(?:(?:this|these|the|following|some|in|with|using|please|for|me|code|script|program|snippet"
    rf"|cell|lines?|of|an?|{_PYTHON}|{_SHELL})\b|[\s:,?-])*"
)

# Code that stands bare behind `Run this Python code` or `Run the command`, up to the next order.
_BARE = re.compile(
    rf"{_RUN}(?P<said>{_FILLERS})(?<=[\s:])(?P<code>\S(?s:.*?))"
    r"(?=\s*(?:[,;.]\s*)?(?:\band\s+)?\b(?:then|after that|finally)\b"
    r"|\s*[.,;]?\s+and\s+(?:(?:tell|show|give)\s+me|write|save|append|store|put|read|list)\b|\s*\Z)",
    re.IGNORECASE,
)
_ORDER = re.compile(rf"{_RUN}{_FILLERS}(?P<code>{QUOTE})", re.IGNORECASE)
_JAPANESE_AFTER = re.compile(
    rf"(?P<code>{QUOTE})\s*(?:というコード|というコマンド)?を[^。\n]{{0,20}}実行"
)
_JAPANESE_BEFORE = re.compile(rf"実行[^。\n{_LETTERS}]{{0,12}}\s*(?P<code>{QUOTE})")
_FILE = re.compile(
    rf"{_RUN}\s+(?:the\s+)?(?:python\s+|shell\s+|bash\s+)?(?:(?:script|program|file)\s+)?"
    r"(?P<path>[\w./-]{1,200}\.(?:py|sh))(?![\w/])|(?<![\w./-])(?P<japanese>[\w./-]{1,200}\.(?:py|sh))\s*を\s*実行",
    re.IGNORECASE | re.ASCII,
)
_LAST_FILE = re.compile(
    rf"{_RUN}\s+(?:it|that|(?:the|this|that)\s+(?:script|program|file))\b", re.IGNORECASE
)
_FENCE = re.compile(r"```[ \t]*(\w+)")
_COMMAND = re.compile(
    r"(?:ls|cat|echo|pwd|head|tail|wc|sort|uniq|grep|find|sed|awk|date|du|df|mkdir|touch|cp|mv|tree"
    r"|python3?|bash|sh|git|env|uname|whoami|which|printf|seq|tar|zip|unzip|diff)\b"
)
_PROSE = re.compile(r"(?:that|to|which|for|from|below|above|again|and|it|on|when|as|if)\b")
_STATEMENTS = (ast.Call, ast.Assign, ast.Import, ast.ImportFrom, ast.For, ast.While, ast.With)


def quote_code(quoted: Quoted) -> Quoted:
    """The request with bare code behind an order to run it taken for a quotation, too."""
    found = _BARE.search(quoted.text)
    if found is None or _FILE.match(quoted.text, found.start()):
        return quoted
    code = quoted.restore(found["code"]).strip()
    if re.fullmatch(QUOTE, found["code"]) or not _is_code(code, said=found["said"]):
        return quoted
    return quoted.taken(found.span("code"), code)


def read_code(clause: str, quoted: Quoted, background: Background) -> Intent | None:
    """The run that a clause orders; None when it orders none."""
    if path := _file(clause, background):
        program = "python" if path.lower().endswith(".py") else "bash"
        return Intent("shell", {"command": f"{program} {shlex.quote(path)}"})
    found = (
        _ORDER.search(clause) or _JAPANESE_AFTER.search(clause) or _JAPANESE_BEFORE.search(clause)
    )
    if found is None or not quoted.at(found["code"]).strip():
        return None
    code = quoted.at(found["code"])
    if _is_python(code, said=clause, original=quoted.restore(found["code"])):
        return Intent("python", {"code": code})
    return Intent("shell", {"command": code})


def _file(clause: str, background: Background) -> str | None:
    if named := _FILE.search(clause):
        return named["path"] or named["japanese"]
    last = background.file or ""
    return last if _LAST_FILE.search(clause) and last.lower().endswith((".py", ".sh")) else None


def _is_code(code: str, *, said: str) -> bool:
    """Whether bare words behind an order are code, and no description of what to do."""
    if re.search(_PYTHON, said, re.IGNORECASE):
        return ":" in said or _parses(code)
    if re.search(_SHELL, said, re.IGNORECASE):
        return ":" in said or _PROSE.match(code) is None
    return _COMMAND.match(code) is not None or _acts(code)


def _is_python(code: str, *, said: str, original: str) -> bool:
    """Which of the two it is: by the fence's language, by the words around it, by its looks."""
    if fence := _FENCE.match(original):
        return fence[1].lower() not in {"sh", "bash", "shell", "console", "zsh"}
    if re.search(_PYTHON, said, re.IGNORECASE):
        return True
    return not re.search(_SHELL, said, re.IGNORECASE) and _acts(code)


def _parses(code: str) -> bool:
    return _tree(code) is not None


def _acts(code: str) -> bool:
    """Whether it is Python that does something, and not a word or a sum."""
    tree = _tree(code)
    return tree is not None and any(isinstance(node, _STATEMENTS) for node in ast.walk(tree))


def _tree(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
