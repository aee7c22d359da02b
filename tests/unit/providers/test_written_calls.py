"""Tool calls that weak models write into their text are found, and never shown as text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.providers.written_calls import CallGate, WrittenCall, find_calls

SUM = WrittenCall("calculator", {"expression": "1+1"})
ARGS = '{"expression": "1+1"}'
FORMS = {
    "qwen": f'<tool_call>\n{{"name": "calculator", "arguments": {ARGS}}}\n</tool_call>',
    "unclosed": f'<tool_call>{{"name": "calculator", "arguments": {ARGS}}}',
    "llama": f"<function=calculator>{ARGS}</function>",
    "groq's failed generation": f"<function=calculator{ARGS}</function>",
    "python tag": f'<|python_tag|>{{"name": "calculator", "parameters": {ARGS}}}',
    "mistral": f'[TOOL_CALLS][{{"name": "calculator", "arguments": {ARGS}}}]',
    "fence": f'```json\n{{"name": "calculator", "arguments": {ARGS}}}\n```',
    "bare": f'{{"name": "calculator", "arguments": {ARGS}}}',
    "openai": f'{{"type": "function", "function": {{"name": "calculator", "arguments": {ARGS}}}}}',
    "list": f'[{{"name": "calculator", "args": {ARGS}}}]',
    "broken": '{"name": "calculator", "arguments": {"expression": "1+1"',
    "single quotes": "{'name': 'calculator', 'arguments': {'expression': '1+1'},}",
}
PLAIN = [
    "Just words.",
    '{"name": "Bo", "age": 7}',
    'Here:\n```json\n{"a": 1}\n```\nThat is it.',
    "if a < b and b > c: print('<function>')",
    "[1] is a footnote, [2] another.",
    "",
]


def shown(text: str, size: int = 3) -> tuple[str, str]:
    """What the gate lets out while the text comes in pieces, and what it holds in the end."""
    gate = CallGate()
    out = held = ""
    for at in range(0, len(text), size):
        held += text[at : at + size]
        if not gate.holds(text[at : at + size]):
            out, held = out + held, ""
    return out, held


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found(form: str) -> None:
    assert find_calls(FORMS[form]) == ("", [SUM])


@pytest.mark.parametrize(
    "form", sorted(FORMS.keys() - {"bare", "openai", "list", "broken", "single quotes"})
)
def test_the_text_before_a_call_is_kept(form: str) -> None:
    assert find_calls(f"Let me see.\n\n{FORMS[form]}") == ("Let me see.", [SUM])


def test_several_calls_are_found_in_order() -> None:
    text = "\n".join(FORMS["qwen"].replace("1+1", f"1+{n}") for n in range(3))
    _, calls = find_calls(text)
    assert [call.arguments for call in calls] == [{"expression": f"1+{n}"} for n in range(3)]


@pytest.mark.parametrize("text", PLAIN)
def test_text_without_a_call_is_text(text: str) -> None:
    assert find_calls(text) == (text, [])


@pytest.mark.parametrize("text", ['{"steps": []}', '```json\n{"steps": []}\n```'])
def test_where_one_tool_must_be_called_json_alone_is_its_arguments(text: str) -> None:
    assert find_calls(text, forced="submit") == ("", [WrittenCall("submit", {"steps": []})])
    assert find_calls(text)[1] == []


@given(form=st.sampled_from(sorted(FORMS)), size=st.integers(1, 30))
def test_nothing_of_a_call_is_shown(form: str, size: int) -> None:
    assert shown(FORMS[form], size) == ("", FORMS[form])


@given(form=st.sampled_from(["qwen", "llama", "fence", "mistral"]), size=st.integers(1, 30))
def test_words_before_a_call_are_shown_and_nothing_of_the_call(form: str, size: int) -> None:
    out, held = shown(f"Let me see what that is.\n{FORMS[form]}", size)
    assert "Let me see what that is.\n".startswith(out)
    assert find_calls(held)[1] == [SUM]


@given(text=st.text(alphabet="abc <>`[]{}\n", max_size=80), size=st.integers(1, 10))
def test_nothing_is_lost_in_the_gate(text: str, size: int) -> None:
    assert "".join(shown(text, size)) == text


def test_words_are_shown_as_they_come() -> None:
    out, held = shown("One two < three [four] `five` six ")
    assert (out, held) == ("One two < three [four] `five` six ", "")


def test_after_a_block_of_json_that_calls_nothing_the_text_goes_on() -> None:
    text = f"This:\n```json\n{json.dumps({'port': 80})}\n```\nand then this. "
    assert shown(text) == (text, "")
