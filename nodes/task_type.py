"""Which kind of task a request is, told locally and without a call."""

import re

from graph.state import TaskType

_CODE = re.compile(
    r"```|\b(code|function|script|program|bug|debug|refactor|regex|sql|python|javascript|typescript"
    r"|java|rust|golang|c\+\+|unit test|stack ?trace|compile|api endpoint)\b"
    r"|コード|プログラム|関数|スクリプト|バグ|実装",
    re.IGNORECASE,
)
_REASONING = re.compile(
    r"\b(plan|design|analy[sz]e|compare|evaluate|prove|derive|strategy|trade-?offs?|step by step"
    r"|in detail|research|investigate|pros and cons|architecture)\b"
    r"|分析|比較|設計|計画|証明|検討|戦略|詳しく",
    re.IGNORECASE,
)
_SIMPLE_WORDS = 12
_LONG_WORDS = 120


def task_type_of(text: str) -> TaskType:
    """The task type that routes this request to its best model."""
    words = len(text.split()) + len(re.findall(r"[\u3040-\u30ff\u4e00-\u9fff]", text)) // 2
    if _CODE.search(text):
        return "code_generation"
    if _REASONING.search(text) or words > _LONG_WORDS:
        return "complex_reasoning"
    return "simple_task" if words <= _SIMPLE_WORDS else "general"
