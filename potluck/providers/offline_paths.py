"""Names of files and folders in a request."""

import re
from dataclasses import dataclass

from potluck.providers.offline_quotes import QUOTE, Quoted

# Bounded, so that long runs of letters cost no more than their length.
_FILE = (
    r"(?:~?[\w.\-+@%]{0,64}[/\\]){0,16}[\w\-+@%][\w\-+@%.]{0,128}"
    r"\.[A-Za-z][A-Za-z0-9]{0,9}(?![A-Za-z0-9])"
)
_DOTFILE = r"(?<![\w.])\.[A-Za-z][\w\-]*(?:\.\w+)?(?! files)"
_ABSOLUTE = r"(?<![\w/])(?:~|\.{1,2})?/[\w.\-/]{1,256}"
_WELL_KNOWN = r"\b(?:README|Makefile|Dockerfile|LICENSE|CHANGELOG)\b"
_CALLED = (
    r"\b(?:file|file (?:named|called)|(?:file )?(?:named|called))\s*:?\s*(?<=[\s:])"
    rf"(?P<called>{QUOTE}|[\w\-/]+(?:\.[\w\-/]+)*)"
)
_FOLDER = (
    rf"\b(?:folder|directory)\s+(?:named\s+|called\s+)?(?P<folder>{QUOTE}|[\w\-./]+)"
    r"|(?<![\w\-./])(?P<slashed>[\w\-.]{1,64}(?:/[\w\-.]{1,64}){0,16}/)(?=[\s?!,]|\.?$)"
    r"|\b(?:in|of|under|inside)\s+(?:the |my )?(?!the\b|my\b|this\b|a\b)"
    rf"(?P<before>{QUOTE}|[\w\-./]+)\s+(?:folder|directory)\b"
)
_PATH = re.compile(
    rf"(?P<url>\b\w+://\S+)|{_FOLDER}|(?P<file>{_FILE}|{_ABSOLUTE}|{_DOTFILE}|{_WELL_KNOWN})"
    rf"|{_CALLED}|(?P<quoted>{QUOTE})",
)
_NOT_FILES = re.compile(r"(?:e\.g|i\.e|a\.m|p\.m|etc|vs)\.?", re.IGNORECASE)
_NOT_NAMES = frozenset(
    re.findall(
        r"\w+",
        "in into to with containing that which contains contain are is do does have has and named "
        "called then for from of on i the a my says say there exist exists back it saying",
    )
)
_LOOKS_LIKE_A_FILE = re.compile(r"[^\n\"*?<>|]{1,200}\.[A-Za-z][A-Za-z0-9]{0,9}|[\w\-./]+/[\w\-.]+")
_JAPANESE_BEFORE = re.compile(r"^.*[ぁ-ん、。](?=[A-Za-z0-9_~./])")


@dataclass(frozen=True, slots=True)
class Named:
    """A path in a clause, and where in it."""

    path: str
    start: int
    end: int
    is_folder: bool = False
    is_quoted: bool = False

    def holds(self, found: re.Match[str]) -> bool:
        """Whether this quotation is the path itself."""
        return self.start <= found.start() < self.end


def paths_in(clause: str, quoted: Quoted) -> list[Named]:
    """The files and folders that a clause names, in order."""
    return [named for found in _PATH.finditer(clause) if (named := _named(found, quoted))]


def _named(found: re.Match[str], quoted: Quoted) -> Named | None:
    group = found.lastgroup or ""
    raw = found[group]
    path = quoted.at(raw) if re.fullmatch(QUOTE, raw) else raw
    start, end = found.span(group)
    if group == "url" or not path.strip():
        return None
    if group == "quoted" and not _LOOKS_LIKE_A_FILE.fullmatch(path):
        return None
    if group == "called" and path.lower() in _NOT_NAMES:
        return None
    if group == "file":
        start += len(path) - len(path := _JAPANESE_BEFORE.sub("", path))
        if _NOT_FILES.fullmatch(path) or not re.search(r"\w", path):
            return None
    is_folder = group in {"folder", "slashed", "before"}
    if is_folder and path.lower() in _NOT_NAMES:
        return None
    return Named(
        path=path.rstrip("/") if is_folder and path.strip("/") else path,
        start=start,
        end=end,
        is_folder=is_folder,
        is_quoted=bool(re.fullmatch(QUOTE, raw)),
    )
