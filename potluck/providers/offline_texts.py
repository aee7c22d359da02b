"""The text that a request asks to write, where it is not in quotation marks, and where to."""

import re

from potluck.providers.offline_paths import Named

_I = re.IGNORECASE | re.DOTALL

_AFTER_PATH = re.compile(
    r"^[\s,.]*(?:(?:that|which|and|it|should|to)\s+)*"
    r"(?:with|containing|contains?|saying|says?|reading|reads?|holding|hold|put|write|add|have|has)\b\s*"
    r"(?:(?:in it|into it|to it|inside)\s+)?"
    r"(?:(?:the|this|a|an|just|only|exact|following|single)\s+)*"
    r"(?:(?:text|contents?|words?|lines?|body|message|string|sentence)\b\s*)?(?:of\b|:|=|-\s)?\s*(?P<text>.+)$"
    r"|^\s*(?::|=|,?\s*text:)\s*(?P<plain>.+)$",
    _I,
)
_VERB = (
    r"(?:write|create|make|save|put|store|record|note down|append|add|overwrite)"
    r"(?:\s+(?:down|out))?"
)
_BEFORE_PATH = re.compile(
    rf"\b{_VERB}\b\s*:?\s*(?P<text>.*?)[\s,]*"
    r"(?:\b(?:in|to|into|inside|as|on|onto|at the end of|under|of)\b\s*)"
    r"(?:(?:a|an|the|my|this|end of|new|empty|text|plain)\s+)*"
    r"(?:file\s*)?(?:(?:named|called)\s*)?:?\s*$",
    _I,
)
_LABEL = re.compile(
    r"^(?:(?:the|this|a|an|following|new|exact)\s+)*(?:text|line|words?|contents?|string|message|sentence|number)\b"
    r"(?:\s*[:=]\s*|\s+(?=\S))",
    _I,
)


def target_of(clause: str, paths: list[Named]) -> Named | None:
    """The path that is written to: the one after `to` or `in`, else the first unquoted."""
    for named in reversed(paths):
        if re.search(
            r"\b(?:to|in|into|as|file|called|named)\s*$", clause[: named.start], re.IGNORECASE
        ):
            return named
    return next((n for n in paths if not n.is_quoted), paths[0] if paths else None)


def text_for(clause: str, named: Named | None) -> str | None:
    """The text to write, where it is not in quotation marks: after the path, or before it."""
    if named is None:
        found = re.search(rf"\b{_VERB}\b\s+(.+?)\s+(?:to|in|into|at the end of)\s+\S+", clause, _I)
        return _LABEL.sub("", found[1].strip()) if found else None
    if after := _AFTER_PATH.search(clause[named.end :]):
        text: str = (after["text"] or after["plain"]).strip()
        return text if re.search(r"[^\s:=-]", text) else None
    if before := _BEFORE_PATH.search(clause[: named.start]):
        return _LABEL.sub("", before["text"].strip())
    return None


def follows_path(clause: str, named: Named | None) -> bool:
    """Whether the text stands after the path: `a.txt with the text hi`."""
    return named is not None and bool(_AFTER_PATH.search(clause[named.end :]))
