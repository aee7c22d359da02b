"""Which tools a request is offered: none, the way to them, or those that it could need."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.tools import BaseTool

from nodes.memory import ABOUT_NOTES
from nodes.plan_form import make_plan
from nodes.request import Need, Request, request_in
from nodes.request_words import excerpt
from nodes.ways import USE_TOOLS
from tools.toolbox import Toolbox

_WEATHER = re.compile(
    r"\b(?:weather|forecast|rain\w*|snow\w*|sunn?y?|wind\w*|storm\w*|temperature|degrees|celsius"
    r"|fahrenheit|humid\w*"
    r"|cold|hot|warm|umbrella|jacket|coat|wear|outdoors?|outside|picnic|hik\w+|ski\w*|beach|trip"
    r"|travel\w*)\b"
    r"|天気|気温|雨|雪|風|台風|傘|気候|暑|寒|湿度|服装|上着|旅行|登山|ピクニック|お出かけ|花見",
    re.IGNORECASE | re.ASCII,
)
_DATABASE = re.compile(
    r"\b(?:databases?|sql|sqlite|postgres\w*|tables?|schema|quer(?:y|ies)|select|rows?|records?"
    r"|\w+\.(?:db|sqlite3?))\b"
    r"|データベース|テーブル|レコード|クエリ|DBの|DBに",
    re.IGNORECASE | re.ASCII,
)
_FILES = re.compile(
    r"\b(?:files?|folders?|director(?:y|ies)|workspace|documents?|scripts?|notes?|logs?|tests?"
    r"|project|repo\w*)\b"
    r"|[\w-]\.\w{1,5}\b|ファイル|フォルダ|ワークスペース|メモ|資料|議事録|ログ|テスト|リポジトリ",
    re.IGNORECASE | re.ASCII,
)
_DATABASE_FILE = re.compile(r"\.(?:db|sqlite3?)\Z", re.IGNORECASE)
_READERS = frozenset({"read_file", "edit_file", "search_files"})
_DATABASES = frozenset({"query_database", "change_database"})
_NOTES = frozenset({"remember", "forget"})

OwnTool = BaseTool | type[make_plan] | dict[str, Any]  # Any: a JSON schema


def offer(
    request: Request, need: Need, toolbox: Toolbox, files: Sequence[str], *, plan: bool
) -> tuple[OwnTool, ...]:
    """The tools that the request could need; the rest can be asked for with `use_tools`."""
    if need == "talk":
        return ()
    if need == "knowledge":
        return (_use_tools(toolbox.offered),)
    planning = (make_plan,) if plan else ()
    return (*_of_use(excerpt(request.text), toolbox, files), *planning)


def offer_amid(
    transcript: Sequence[AnyMessage], toolbox: Toolbox, files: Sequence[str]
) -> tuple[OwnTool, ...]:
    """The same amid the work: what was called stays, the rest can be asked for."""
    called = {
        call["name"]
        for message in transcript
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    return _of_use(excerpt(request_in(transcript).text), toolbox, files, called)


def whole_offer(toolbox: Toolbox, *, plan: bool) -> tuple[OwnTool, ...]:
    """Every tool there is."""
    return (*toolbox.offered, *([make_plan] if plan else []))


def _of_use(
    text: str, toolbox: Toolbox, files: Sequence[str], called: Collection[str] = ()
) -> tuple[OwnTool, ...]:
    left_out = _of_no_use(text, toolbox, files) - set(called)
    hidden = [tool for tool in toolbox.offered if tool.name in left_out]
    shown = tuple(tool for tool in toolbox.offered if tool not in hidden)
    return (*shown, _use_tools(hidden)) if hidden else shown


def _of_no_use(text: str, toolbox: Toolbox, files: Sequence[str]) -> set[str]:
    """What nothing in the request, the workspace and the configuration speaks for."""
    unused: set[str] = set()
    if not _WEATHER.search(text):
        unused.add("get_weather")
    has_database = toolbox.options.databases or any(map(_DATABASE_FILE.search, files))
    if not has_database and not _DATABASE.search(text):
        unused |= _DATABASES
    if not files and not _FILES.search(text):
        unused |= _READERS
    if not ABOUT_NOTES.search(text):
        unused |= _NOTES
    return unused


def _use_tools(tools: Sequence[BaseTool]) -> dict[str, Any]:  # Any: a JSON schema
    names = ", ".join(tool.name for tool in tools)
    why = {"type": "string", "description": "In a few words."}
    return {
        "type": "function",
        "function": {
            "name": USE_TOOLS,
            "description": f"Get these tools, if you need one: {names}.",
            "parameters": {"type": "object", "properties": {"why": why}, "required": ["why"]},
        },
    }
