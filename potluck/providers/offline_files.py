"""Requests about files, turned into calls of the file tools."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from potluck.providers.offline_intent import Background, Gap, Intent
from potluck.providers.offline_paths import Named, paths_in
from potluck.providers.offline_quotes import QUOTE, RESULT, Quoted
from potluck.providers.offline_texts import follows_path, target_of, text_for

_I = re.IGNORECASE | re.DOTALL
_PRONOUN = r"(?:it|that|this|them|(?:the|that|this) (?:file|same file|new file)|back)"

_APPEND = re.compile(r"\b(?:append|add)\b|追記|追加", _I)
_WRITE = re.compile(
    r"\b(?:write|create|make|save|put|store|touch|record|note down|overwrite)\b"
    r"|書|作成|作って|作り|保存",
    _I,
)
_MAKES_EMPTY = re.compile(r"\b(?:create|make|touch|empty)\b|作成|作って|作り|空の", _I)
_READ = re.compile(
    r"\b(?:read|show|open|print|display|cat|view|see|load|get|give|tell|type)\b"
    r"|\bwhat(?:'s| is| does| did)\b|\bcontents?\b|読|見せ|開い|表示|内容|中身",
    _I,
)
_COPY = re.compile(r"\b(?:copy|duplicate)\b", _I)
_CANNOT = re.compile(r"\b(?:delete|remove|erase|rename|move|rm|unlink|run|execute)\b|削除|消し", _I)
_LIST = re.compile(
    r"\b(?:list|show|what|which|see|display|give|tell|view|how many|any|count|check)\b[^.]{0,200}"
    r"\b(?:files?|folders?|director(?:y|ies)|documents?|workspace)\b"
    r"|^\W*(?:ls|dir|list files|files|list)\W*$"
    r"|(?:ファイル|フォルダ|ワークスペース)[^。]*(?:一覧|リスト|見せ|教え|表示|何|あり|ある|中身)",
    _I,
)
_SEARCH = re.compile(
    r"\b(?:search|grep|look(?:ing)? for|locate|find)\b|\bwhich (?:of my |of the )?files?\b"
    r"[^.]{0,200}"
    r"\b(?:contains?|mentions?|has|have|with)\b|検索|探し",
    _I,
)
_OUTSIDE = re.compile(r"\b(?:web|internet|online|google|news)\b", _I)
_SOUGHT = re.compile(
    r"\b(?:for|contain(?:s|ing)?|mention(?:s|ing)?|has|have|having|grep|find|locate|with)\s+"
    r"(?:(?:all|every|any|the|a|an)\s+)?(?:(?:word|text|phrase|string|lines?|files?)\s+)?"
    r"(?:(?:that )?(?:contain(?:s|ing)?|mention(?:s|ing)?|with|saying)\s+)?"
    r"(?:the (?:word|text)\s+)?(.+)",
    _I,
)
_PLACE_TAIL = re.compile(
    r"\s+(?:in|inside|within|through|across|from)\s+(?:(?:all|any|every|of|the|my|these|our)\s+)*"
    r"(?:files?|workspace|folders?|documents?|notes|it|them)\W*$|[?.!\s]+$",
    _I,
)
_BY_NAME = re.compile(
    r"\bfiles?\s+(?:named|called)\s+(\S+)|((?:\w*\*)[\w.*-]+)|(?<!\w)(\.\w+) files", _I
)
_EDIT = (
    re.compile(
        r"\b(?:replace|substitute|swap)\s+(?P<all>all |every |each )?(?:the (?:text|word) )?"
        r"(?:occurrences? of )?(?P<old>.+?)\s+(?:with|by|for)\s+(?P<new>.+?)"
        r"(?P<tail>\s+(?:everywhere\b|(?:in|inside|of)\s).*)?$",
        _I,
    ),
    re.compile(
        r"\bchange\s+(?P<all>all |every |each )?(?:the (?:text|word) )?(?P<old>.+?)\s+(?:in)?to\s+"
        r"(?P<new>.+?)(?P<tail>\s+(?:everywhere\b|(?:in|inside|of)\s).*)?$",
        _I,
    ),
    re.compile(
        rf"(?P<all>すべて|全て|全部)?の?(?P<old>{QUOTE})を(?P<new>{QUOTE})(?:に|へ|で)"
        r"(?:置き?換|変え|変更|修正)(?P<tail>)",
        _I,
    ),
)
_EVERYWHERE = re.compile(r"\b(?:everywhere|all|every|each)\b|すべて|全て|全部", _I)

_NOTHING = re.compile(r"(?:(?:a|an|the|new|empty|text|plain|blank|simple)\s*)*(?:file)?", _I)
_RESULT = re.compile(
    r"(?:it|that|this|them|(?:(?:the|this|that|its) )?(?:results?|answers?|outputs?|totals?"
    r"|values?|sum|list"
    r"|listing|date|time|numbers?|contents?)(?: of (?:it|that|this))?)",
    _I,
)
_GLUED = re.compile(rf"[\w(\[{{=]{QUOTE}|{QUOTE}[\w)\]}}]")
_COMPOSED = re.compile(
    r"^(?:an?|some|my|about|me|your)\b|\b(?:poem|story|essay|summary|email|letter|code|script|function"
    r"|program|haiku|song|joke|list of|article|report|translation)\b",
    _I,
)


@dataclass(slots=True)
class FileReader:
    """Understands one clause about files, given what was named before it."""

    quoted: Quoted
    background: Background
    facts: Callable[[str], Sequence[Intent | Gap]]

    def read(self, clause: str) -> list[Intent | Gap]:
        """The intents of a clause; empty if it is not about files."""
        paths = paths_in(clause, self.quoted) or self._named_again(clause)
        for understand in (self._edit, self._copy, self._write, self._cannot, self._search):
            if intents := understand(clause, paths):
                return intents
        return self._read(clause, paths) or self._list(clause, paths)

    def _named_again(self, clause: str) -> list[Named]:
        """The last file, where the clause has its name without anything that marks a file."""
        name = self.background.file
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", clause) if name else None
        return [Named(found[0], *found.span())] if found else []

    def _target(self, clause: str, paths: list[Named]) -> str | None:
        if paths:
            return paths[-1].path
        refers = re.search(rf"\b{_PRONOUN}\b|その|それ|同じ", clause, re.IGNORECASE)
        return self.background.file if refers else None

    def _edit(self, clause: str, paths: list[Named]) -> list[Intent | Gap]:
        found = next((m for pattern in _EDIT if (m := pattern.search(clause))), None)
        target = self._target(clause, paths) if found else None
        if not found or not target:
            return []
        args: dict[str, object] = {
            "path": target,
            "old": self._text(found["old"]),
            "new": self._text(found["new"]),
        }
        if found["all"] or _EVERYWHERE.search(clause):
            args["every"] = True
        return [Intent("edit_file", args)]

    def _copy(self, clause: str, paths: list[Named]) -> list[Intent | Gap]:
        if not _COPY.search(clause) or len(paths) != 2:
            return []
        return [
            Intent("read_file", {"path": paths[0].path}),
            Intent("write_file", {"path": paths[1].path, "text": RESULT}),
        ]

    def _write(self, clause: str, paths: list[Named]) -> list[Intent | Gap]:
        appends = bool(_APPEND.search(clause))
        if not appends and not _WRITE.search(clause):
            return []
        named = target_of(clause, paths)
        target = named.path if named else self._target(clause, [])
        if target is None:
            return [Gap("no_name", self.quoted.fill(clause))] if self._is_file(clause) else []
        before, text = self._content(clause, named)
        if isinstance(text, Gap):
            return [text]
        is_promised = appends or clause.rstrip().endswith((":", "："))  # noqa: RUF001 - typed so
        if text is None and (is_promised or not _MAKES_EMPTY.search(clause)):
            return [Gap("no_text", target)]
        args: dict[str, object] = {"path": target, "text": text or ""}
        if appends:
            args["text"] = _on_a_line_of_its_own(str(args["text"]))
            args["append"] = True
        return [*before, Intent("write_file", args)]

    def _is_file(self, clause: str) -> bool:
        return bool(re.search(r"\bfile\b|ファイル", clause, re.IGNORECASE))

    def _content(
        self, clause: str, named: Named | None
    ) -> tuple[list[Intent | Gap], str | Gap | None]:
        """What to do first, and the text to write: RESULT if the first thing gives it."""
        raw = text_for(clause, named)
        given = self._given(clause, named, raw or "")
        if given is not None:
            return [], given
        if raw is None or _NOTHING.fullmatch(raw):
            return [], None
        if _RESULT.fullmatch(raw) and self.background.has_result:
            return [], RESULT
        first = self.facts(re.sub(r"^the result of\s+", "", raw, flags=re.IGNORECASE))
        if len(first) == 1 and isinstance(first[0], Intent):
            return list(first), RESULT
        if _COMPOSED.search(raw) and not follows_path(clause, named):
            return [], Gap("compose", raw)
        return [], raw

    def _given(self, clause: str, named: Named | None, raw: str) -> str | None:
        """The text in quotation marks, which are part of it when glued to it: print("hi")."""
        if _GLUED.search(raw):
            return self.quoted.restore(raw)
        texts = [m for m in re.finditer(QUOTE, clause) if named is None or not named.holds(m)]
        return "\n".join(self.quoted.at(m[0]) for m in texts) if texts else None

    def _cannot(self, clause: str, paths: list[Named]) -> list[Intent | Gap]:
        if _CANNOT.search(clause) and (paths or self._is_file(clause)):
            return [Gap("no_tool", self.quoted.fill(clause))]
        return []

    def _search(self, clause: str, paths: list[Named]) -> list[Intent | Gap]:
        if not _SEARCH.search(clause) or _OUTSIDE.search(clause):
            return []
        if by_name := _BY_NAME.search(clause):
            name = self.quoted.fill(next(group for group in by_name.groups() if group))
            return [Intent("search_files", {"name": f"*{name}" if name[0] == "." else name})]
        about_files = paths or re.search(
            r"\b(?:files?|workspace|folder|notes|grep|search for)\b|検索|ファイル", clause, _I
        )
        if not about_files:
            return []
        sought = self._sought(clause)
        if sought:
            return [Intent("search_files", {"text": sought})]
        return [Intent("search_files", {"name": paths[-1].path})] if paths else []

    def _sought(self, clause: str) -> str:
        if quotation := re.search(QUOTE, clause):
            return self.quoted.at(quotation[0])
        found = _SOUGHT.search(clause)
        text = found[1] if found else ""
        while tail := _PLACE_TAIL.search(text):
            text = text[: tail.start()]
        return "" if paths_in(text, self.quoted) else text.strip()

    def _read(self, clause: str, paths: list[Named]) -> list[Intent | Gap]:
        if not _READ.search(clause):
            return []
        files = [named.path for named in paths if not named.is_folder]
        if not files and not paths and (target := self._pronoun(clause)):
            files = [target]
        return [Intent("read_file", {"path": path}) for path in files]

    def _pronoun(self, clause: str) -> str | None:
        """The file meant by `read it back` or `what does it say`, not by `what is it`."""
        pattern = (
            rf"\b(?:read|show|open|print|display|cat|view|load)\b(?: me)?(?: back)? {_PRONOUN}\b"
            r"|\b(?:in|inside) (?:it|that file|the file)\b|\b(?:it|the file) (?:say|contain)"
            r"|\bcontents? of (?:it|that|the file)\b|\bits contents?\b|^\W*read\W*$"
            r"|(?:^\W*|それ|その\w*|同じ\w*|内容|中身)を?(?:読んで|読み|表示|見せて)"
        )
        return self.background.file if re.search(pattern, clause, re.IGNORECASE) else None

    def _list(self, clause: str, paths: list[Named]) -> list[Intent | Gap]:
        if not _LIST.search(clause):
            return []
        folder = next((named.path for named in paths if named.is_folder), "")
        return [Intent("list_files", {"path": folder} if folder else {})]

    def _text(self, raw: str) -> str:
        stripped = raw.strip()
        if re.fullmatch(QUOTE, stripped):
            return self.quoted.at(stripped)
        return self.quoted.fill(stripped)


def _on_a_line_of_its_own(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
