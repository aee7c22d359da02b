"""What the caller wants of the answer: its form, its length, how its words are chosen."""

import json
from collections.abc import Mapping

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.ai import add_usage

from graph.params import AnswerForm
from graph.state import Context
from potluck.providers.catalog import OFFLINE
from potluck.providers.offer import Offer
from potluck.providers.trim import Trim

# A model that thinks before it answers needs room for that beside the answer's own
THINKING_TOKENS = 1_024
CALLS_KEY = "calls"
_CHOICE_OF_WORDS = ("temperature", "top_p", "seed")

FORM_PROMPT = """\
Whatever you answer the user is read by a program: write it as {form}, and nothing else: no remark,
no code fence. This is for your final answer only; call tools as usual."""

FORM_MISSED = "The answer could not be brought into the form that `response_format` asks for"
NEEDS_LLM = (
    "An answer in the form that `response_format` asks for needs an LLM, and none can be asked; "
    "`potluck check` shows what is on."
)

MEND_PROMPT = """\
You bring answers into the form of JSON that a program reads. Keep what the answer says and invent
nothing. Write the JSON and nothing else."""

MEND_REQUEST = """\
This answer is not what was asked for: {faults}.
Write it again as {form}.

The answer:
{answer}"""


def choice_of_words(context: Context) -> dict[str, object]:
    """The parameters that every call of the run is made with."""
    params = context.get("params") or {}
    return {key: value for key, value in params.items() if key in _CHOICE_OF_WORDS}


def trim_of(context: Context) -> Trim | None:
    """Where the answer's text ends; None when it may be as long as it wants."""
    params = context.get("params") or {}
    most, stop = params.get("max_tokens"), params.get("stop")
    return Trim(most, tuple(stop or ())) if most is not None or stop else None


def output_limit(context: Context) -> dict[str, object]:
    """The limit for a call that cannot call tools: what is cut off anyway need not be made."""
    most = (context.get("params") or {}).get("max_tokens")
    return {"max_tokens": most + THINKING_TOKENS} if most is not None else {}


def form_of(context: Context) -> AnswerForm | None:
    """The JSON that the answer is to be; None when any text will do."""
    form = (context.get("params") or {}).get("response_format")
    return None if form is None or form["type"] == "text" else form


def form_prompt(form: AnswerForm) -> str:
    """What a model is told that may call tools, and so cannot be bound to the form."""
    return FORM_PROMPT.format(form=_described(form))


def in_form(reply: AIMessage, form: AnswerForm) -> AIMessage:
    """The answer as the JSON that was asked for. Raises ValueError that says what is wrong."""
    given = str(reply.text)
    text = Offer.of({"response_format": form}).text(given, cut=False)
    if form["type"] == "json_object" and not isinstance(json.loads(text), Mapping):
        raise ValueError("it is no JSON object")
    return reply if text == given else reply.model_copy(update={"content": text})


def mend_request(reply: AIMessage, form: AnswerForm, faults: str) -> HumanMessage:
    """What a model is asked that is bound to the form."""
    text = MEND_REQUEST.format(faults=faults, form=_described(form), answer=reply.text)
    return HumanMessage(text)


def put_together(reply: AIMessage, mended: AIMessage) -> AIMessage:
    """The mended answer in place of the first, with what both have cost."""
    metadata = {**mended.response_metadata, CALLS_KEY: calls_of(reply) + calls_of(mended)}
    return mended.model_copy(
        update={
            "id": reply.id,
            "response_metadata": metadata,
            "usage_metadata": add_usage(reply.usage_metadata, mended.usage_metadata),
        }
    )


def is_offline(reply: AIMessage) -> bool:
    """Whether the offline model spoke, which knows no forms."""
    return reply.response_metadata.get("model_provider") == OFFLINE


def calls_of(reply: AIMessage) -> int:
    """How many calls of a model the reply has cost."""
    made = reply.response_metadata.get(CALLS_KEY)
    return made if isinstance(made, int) else 1


def _described(form: AnswerForm) -> str:
    if form["type"] == "json_object":
        return "one JSON object"
    described = form["json_schema"]
    schema = json.dumps(described["schema"], ensure_ascii=False)
    return f"JSON of this schema: {schema}"
