"""What the offline model understands of a request."""

import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from potluck.errors import ToolError
from potluck.providers.offline_intent import Background, Gap, Intent, goal_of
from potluck.providers.offline_quotes import RESULT
from potluck.providers.offline_request import MAX_UNQUOTED_CHARS, understand
from tools.calculator import evaluate

EARLIER = Background(file="prev.txt", has_result=True)


def understood(text: str, background: Background = EARLIER) -> list[tuple[str, dict[str, object]]]:
    return [(intent.tool, dict(intent.args)) for intent in understand(text, background).intents]


def gaps(text: str) -> list[str]:
    return [gap.why for gap in understand(text, EARLIER).gaps]


@pytest.mark.parametrize(
    ("request_text", "expression"),
    [
        ("What is 17*23 + sqrt(2)?", "17*23 + sqrt(2)"),
        ("how much is 15% of 80", "15% of 80"),
        ("What's 20 percent of 150?", "20 % * 150"),
        ("2 plus 2", "2 + 2"),
        ("17 times 3", "17 * 3"),
        ("what is twenty-three times four?", "23 * 4"),
        ("two hundred and five minus one thousand", "205 - 1000"),
        ("Calculate (3 + 4)^2 - 1.", "(3 + 4)^2 - 1"),
        ("Please tell me: 10 / 4 = ?", "10 / 4"),
        ("What is the square root of 144?", "sqrt(144)"),
        ("what is 5 factorial", "5!"),
        ("What is 5!?", "5!"),
        ("sum of 1, 2 and 3", "sum(1, 2, 3)"),
        ("what's the average of 3, 4, 5 and 6", "mean(3, 4, 5, 6)"),
        ("add 2 to 3 please", "3 + 2"),
        ("subtract 3 from 10", "10 - 3"),
        ("divide 10 by 4", "10 / 4"),
        ("15% off 80", "80 - 15%"),
        ("increase 80 by 15%", "80 + 15%"),
        ("half of 10", "(1/2) * 10"),
        ("2 to the power of 10", "2 ^ 10"),
        ("What is -pi * 2", "-pi * 2"),
        ("what is 1,000,000 * 2", "1,000,000 * 2"),
        ("I have 3 * 4 apples", "3 * 4"),
        ("Hi, what is 2+2?", "2+2"),
        ("１２×３は？", "12×3"),  # noqa: RUF001 - typed so
        ("2足す2は？", "2+2"),  # noqa: RUF001 - typed so
        ("100の15%は？", "100 * 15%"),  # noqa: RUF001 - typed so
        ("17×23を計算して", "17×23"),  # noqa: RUF001 - typed so
        ("multiply that by 2", f"{RESULT} * 2"),
        ("and times 3?", f"{RESULT} * 3"),
    ],
)
def test_understands_arithmetic(request_text: str, expression: str) -> None:
    assert understood(request_text) == [("calculator", {"expression": expression})]


@pytest.mark.parametrize(
    ("request_text", "args"),
    [
        ("What day is it in Tokyo?", {"timezone": "Tokyo"}),
        ("what time is it in New York right now", {"timezone": "New York"}),
        ("What's the time in Paris, France?", {"timezone": "Paris, France"}),
        ("today's date", {"timezone": ""}),
        ("what time is it?", {"timezone": ""}),
        ("what is today", {"timezone": ""}),
        ("What day will it be in 10 days?", {"timezone": "", "days": 10}),
        ("what's the date tomorrow in Tokyo", {"timezone": "Tokyo", "days": 1}),
        ("what day was it two days ago", {"timezone": "", "days": -2}),
        ("東京は今何時ですか？", {"timezone": "東京"}),  # noqa: RUF001 - typed so
        ("今日は何曜日ですか", {"timezone": ""}),
        ("明日は何日", {"timezone": "", "days": 1}),
    ],
)
def test_understands_dates_and_times(request_text: str, args: dict[str, object]) -> None:
    assert understood(request_text) == [("current_time", args)]


def test_asks_the_clock_once_for_each_place() -> None:
    assert understood("What is the current time in London, Rome and New York?") == [
        ("current_time", {"timezone": "London"}),
        ("current_time", {"timezone": "Rome"}),
        ("current_time", {"timezone": "New York"}),
    ]


@pytest.mark.parametrize(
    ("request_text", "intents"),
    [
        ("List the files in my workspace", [("list_files", {})]),
        ("show me the files", [("list_files", {})]),
        ("what files are in the folder notes?", [("list_files", {"path": "notes"})]),
        ("ファイルの一覧を見せて", [("list_files", {})]),
        ("read notes/a.txt", [("read_file", {"path": "notes/a.txt"})]),
        ("what does hello.txt say?", [("read_file", {"path": "hello.txt"})]),
        ('show me "my notes.txt"', [("read_file", {"path": "my notes.txt"})]),
        ("cat .env", [("read_file", {"path": ".env"})]),
        ("read /etc/passwd", [("read_file", {"path": "/etc/passwd"})]),
        ("read it back", [("read_file", {"path": "prev.txt"})]),
        ("What does it say?", [("read_file", {"path": "prev.txt"})]),
        ("hello.txtを読んで", [("read_file", {"path": "hello.txt"})]),
        (
            "read a.txt and b.txt",
            [("read_file", {"path": "a.txt"}), ("read_file", {"path": "b.txt"})],
        ),
        ('write "hi" to a.txt', [("write_file", {"path": "a.txt", "text": "hi"})]),
        ("save buy milk to a.txt", [("write_file", {"path": "a.txt", "text": "buy milk"})]),
        ("create a.md containing x and y", [("write_file", {"path": "a.md", "text": "x and y"})]),
        ("Create a.md with:\n- a\n- b", [("write_file", {"path": "a.md", "text": "- a\n- b"})]),
        (
            'Create a.py containing print("hi")',
            [("write_file", {"path": "a.py", "text": 'print("hi")'})],
        ),
        ("Create an empty file x.txt", [("write_file", {"path": "x.txt", "text": ""})]),
        ("In a.txt write good day", [("write_file", {"path": "a.txt", "text": "good day"})]),
        (
            "Create notes.txt that says: Met Bob, and agreed to read a book.",
            [("write_file", {"path": "notes.txt", "text": "Met Bob, and agreed to read a book."})],
        ),
        (
            'append "more" to a.txt',
            [("write_file", {"path": "a.txt", "text": "more\n", "append": True})],
        ),
        ("search my files for TODO", [("search_files", {"text": "TODO"})]),
        ('find files that contain the word "apple"', [("search_files", {"text": "apple"})]),
        ("find all *.py files", [("search_files", {"name": "*.py"})]),
        (
            "replace foo with bar in a.txt",
            [("edit_file", {"path": "a.txt", "old": "foo", "new": "bar"})],
        ),
        (
            'In a.txt, change "foo" to "bar" everywhere',
            [("edit_file", {"path": "a.txt", "old": "foo", "new": "bar", "every": True})],
        ),
    ],
)
def test_understands_files(request_text: str, intents: list[tuple[str, dict[str, object]]]) -> None:
    assert understood(request_text) == intents


@pytest.mark.parametrize(
    ("request_text", "tool", "code"),
    [
        ("Run the Python code print(6*7)", "python", "print(6*7)"),
        ("Run this Python code: x = 1; print(x)", "python", "x = 1; print(x)"),
        (
            "Execute this:\n```python\nprint('a')\n\nprint(2)\n```",
            "python",
            "print('a')\n\nprint(2)",
        ),
        ("Can you run this for me?\n```\nprint('a')\n```", "python", "print('a')"),
        ("Run this:\n```bash\nprint=1\n```", "shell", "print=1"),
        ('Run "2+2" in Python', "python", "2+2"),
        ('In Python, run print("hi")', "python", 'print("hi")'),
        ('Run Python code: "a" + "b"', "python", '"a" + "b"'),
        ("Run print(6*7)", "python", "print(6*7)"),
        ("run ls -la", "shell", "ls -la"),
        ("Run the command `ls -la`", "shell", "ls -la"),
        ("Run the shell command: echo hi | wc -c", "shell", "echo hi | wc -c"),
        ("run main.py", "shell", "python main.py"),
        ("Please run the script tools/a.sh", "shell", "bash tools/a.sh"),
        ("「print(6*7)」をPythonで実行してください", "python", "print(6*7)"),
        ("次のPythonコードを実行して：\n```\nprint(1)\n```", "python", "print(1)"),  # noqa: RUF001 - typed so
        ("main.pyを実行して", "shell", "python main.py"),
    ],
)
def test_understands_given_code_and_commands(request_text: str, tool: str, code: str) -> None:
    argument = "code" if tool == "python" else "command"
    assert understood(request_text) == [(tool, {argument: code})]
    intent = Intent(tool, {argument: code})
    assert understand(goal_of(intent), Background()).intents == [intent]


@pytest.mark.parametrize(
    "request_text",
    [
        "Run python code that prints primes",
        "Run the command that lists files",
        "run it",
        "run a marathon",
        "How do I run Python code?",
    ],
)
def test_a_description_of_code_is_no_code(request_text: str) -> None:
    assert understand(request_text, Background()).intents == []


@pytest.mark.parametrize(
    ("request_text", "names"),
    [
        ("1. Write a.txt with the text one\n2. Read a.txt", ["write_file", "read_file"]),
        ("- List the files\n- What is 2+2?", ["list_files", "calculator"]),
        (
            'Do: 1) write "A" to a.txt 2) read it 3) what is (3 + 2) * 2',
            ["write_file", "read_file", "calculator"],
        ),
        (
            "Write hi to a.txt, read it back, and tell me the time",
            ["write_file", "read_file", "current_time"],
        ),
        ("What is 10/4 and what day is it in Tokyo?", ["calculator", "current_time"]),
        ("Write today's date to date.txt", ["current_time", "write_file"]),
        ("write 2+2 to sum.txt", ["calculator", "write_file"]),
        ("copy a.txt to b.txt", ["read_file", "write_file"]),
        ("a.txtに「x」と書いてから、内容を表示して", ["write_file", "read_file"]),
        ("Write a.py with the text \"print('hi')\" and run it", ["write_file", "shell"]),
        ("Run `print(2+2)`, then write the result to out.txt", ["python", "write_file"]),
        ("Run the command `ls` and tell me the time", ["shell", "current_time"]),
        ("Run the Python code print(6*7) and write the result to a.txt", ["python", "write_file"]),
    ],
)
def test_understands_several_things_in_order(request_text: str, names: list[str]) -> None:
    assert [name for name, _ in understood(request_text)] == names


@pytest.mark.parametrize(
    ("request_text", "why"),
    [
        ("Tell me a joke", "needs_llm"),
        ("What is the capital of France?", "needs_llm"),
        ("What time does the store open?", "needs_llm"),
        ("what's 2026-11-21", "needs_llm"),
        ("search the web for cats", "needs_llm"),
        ("Write a poem to poem.txt", "compose"),
        ("Write a.txt", "no_text"),
        ("delete a.txt", "no_tool"),
        ("Summarize the plot of Hamlet", "needs_llm"),
    ],
)
def test_knows_what_it_cannot_do(request_text: str, why: str) -> None:
    assert understood(request_text) == []
    assert gaps(request_text) == [why]


def test_no_word_in_a_quotation_is_an_order() -> None:
    text = "delete a.txt; then read b.txt, and what is 2+2?"
    assert understood(f'write "{text}" to c.txt') == [
        ("write_file", {"path": "c.txt", "text": text})
    ]


def test_without_anything_before_it_refers_to_nothing() -> None:
    assert understood("read it back", Background()) == []
    assert understood("multiply that by 2", Background()) == []


SIGNS = st.sampled_from(["+", " - ", "*", " / ", "**", " % "])
numbers = st.integers(0, 9_999).map(str) | st.decimals(0, 99, places=2).map(str)
expressions = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, SIGNS, inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-sqrt({text})"),
    ),
    max_leaves=6,
).filter(lambda text: re.search(r"[-+*/%s]", text))
WORDINGS = (
    "{}",
    "What is {}?",
    "what's {}",
    "Calculate {}.",
    "please compute {}",
    "{} = ?",
    "{}は",
)


@given(expressions, st.sampled_from(WORDINGS))
def test_any_expression_reaches_the_calculator_unchanged_in_meaning(
    expression: str, wording: str
) -> None:
    assume(not re.fullmatch(r"\d{4} ?[-/] ?\d\d? ?[-/] ?\d\d?", expression))
    [(tool, args)] = understood(wording.format(expression), Background())
    assert tool == "calculator"
    try:
        expected = evaluate(expression)
    except ToolError:
        with pytest.raises(ToolError):
            evaluate(str(args["expression"]))
    else:
        assert evaluate(str(args["expression"])) == expected


letters = st.characters(exclude_categories=["Cs", "Co", "Cc"], exclude_characters="\\`")
texts = st.text(letters, min_size=1, max_size=30)
paths = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?\.(txt|md|py)", fullmatch=True)
folders = st.from_regex(r"[a-z]{4,8}", fullmatch=True)
whole = st.integers(0)
intents = st.one_of(
    st.builds(lambda p, t: Intent("write_file", {"path": p, "text": t}), paths, texts),
    st.builds(lambda p: Intent("read_file", {"path": p}), paths),
    st.builds(lambda t: Intent("search_files", {"text": t}), texts),
    st.builds(
        lambda p, old, new: Intent("edit_file", {"path": p, "old": old, "new": new}),
        paths,
        texts,
        texts,
    ),
    st.builds(lambda p: Intent("list_files", {"path": p}), folders),
    st.builds(lambda a, b: Intent("calculator", {"expression": f"{a} * {b}"}), whole, whole),
    st.builds(
        lambda days: Intent("current_time", {"timezone": "Tokyo", "days": days}), st.integers(1, 99)
    ),
)


@given(st.lists(intents, min_size=1, max_size=4))
def test_the_goals_of_a_plan_are_understood_as_what_they_came_from(given_: list[Intent]) -> None:
    for intent in given_:
        assert understand(goal_of(intent), Background()).parts == (intent,)
    joined = ", then ".join(goal_of(intent) for intent in given_)
    assert understand(joined, Background()).parts == tuple(given_)


@given(st.text(max_size=200))
def test_any_text_is_understood_or_named_as_a_gap(text: str) -> None:
    for part in understand(text, EARLIER).parts:
        assert isinstance(part, Intent | Gap)


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "(",
            "1+",
            "write ",
            "a, ",
            '"',
            "'a ",
            "「",
            "in the ",
            "./",
            "a/",
            "what time ",
            "read ",
            "run ",
            "run the code ",
            "run python: x\n",
        ),
        *(
            "one hundred and ",
            " ",
            "\n",
            "て、",
            "list x ",
            "create a.md with:\n- item\n",
            "a.txt ",
        ),
    ],
)
@pytest.mark.timeout(5)
def test_long_input_is_read_in_no_time(piece: str) -> None:
    started_s = time.process_time()
    understand(piece * (MAX_UNQUOTED_CHARS // len(piece)), EARLIER)
    assert time.process_time() - started_s < 1


def test_a_long_text_can_be_written_when_quoted_and_is_refused_when_not() -> None:
    long = "word " * 10_000
    assert understood(f"write this to a.txt:\n```\n{long}\n```") == [
        ("write_file", {"path": "a.txt", "text": long})
    ]
    assert gaps(f"write {long} to a.txt") == ["too_long"]


def test_every_line_of_an_unquoted_list_is_written() -> None:
    lines = "\n".join(f"- item {number}" for number in range(500))
    assert understood(f"Create a.md with:\n{lines}") == [
        ("write_file", {"path": "a.md", "text": lines})
    ]
