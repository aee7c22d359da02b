"""The LangServe door's inputs as JSON schemas: the forms as a caller writes them."""

from pydantic.json_schema import JsonSchemaValue

_PARTS: JsonSchemaValue = {
    "type": "array",
    "title": "Parts",
    "description": "Texts and images: an image is a link or a data URI.",
    "items": {
        "anyOf": [
            {
                "type": "object",
                "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                "required": ["type", "text"],
            },
            {
                "type": "object",
                "properties": {
                    "type": {"const": "image_url"},
                    "image_url": {
                        "type": "object",
                        "properties": {"url": {"type": "string"}},
                        "required": ["url"],
                    },
                },
                "required": ["type", "image_url"],
            },
        ]
    },
}

_MESSAGE: JsonSchemaValue = {
    "type": "object",
    "title": "Message",
    "properties": {
        "role": {"type": "string", "enum": ["user", "assistant", "system", "tool"]},
        "content": {"anyOf": [{"type": "string"}, _PARTS]},
        "tool_call_id": {"type": "string", "description": "With the role `tool`: of which call."},
    },
    "required": ["role", "content"],
}

_MESSAGES: JsonSchemaValue = {
    "type": "array",
    "title": "Messages",
    "items": _MESSAGE,
    "minItems": 1,
    "examples": [
        [
            {"role": "system", "content": "Answer in French."},
            {"role": "user", "content": "What is 17 * 23?"},
        ]
    ],
}

_CONVERSATION: JsonSchemaValue = {
    "type": "object",
    "title": "Conversation",
    "properties": {"messages": _MESSAGES},
    "required": ["messages"],
    "examples": [{"messages": [{"role": "user", "content": "What is 17 * 23?"}]}],
}

_DECISION: JsonSchemaValue = {
    "type": "object",
    "title": "Decision",
    "properties": {
        "type": {"type": "string", "enum": ["approve", "edit", "reject"]},
        "edited_action": {
            "type": "object",
            "description": "With `edit`: the call that runs instead.",
            "properties": {"name": {"type": "string"}, "args": {"type": "object"}},
            "required": ["args"],
        },
        "message": {"type": "string", "description": "With `reject`: what the model is told."},
    },
    "required": ["type"],
}

_DECISIONS: JsonSchemaValue = {
    "type": "object",
    "title": "Decisions",
    "description": "For what waits for approval on the thread: by id, or all in their order.",
    "properties": {
        "decisions": {
            "anyOf": [
                {"type": "object", "additionalProperties": _DECISION},
                {"type": "array", "items": _DECISION},
            ]
        }
    },
    "required": ["decisions"],
    "examples": [{"decisions": [{"type": "approve"}]}],
}

_TEXT: JsonSchemaValue = {
    "type": "string",
    "title": "Text",
    "minLength": 1,
    "examples": ["What is 17 * 23?"],
}


def _input(title: str, *forms: JsonSchemaValue) -> JsonSchemaValue:
    examples = [example for form in forms for example in form["examples"]]
    return {"title": title, "anyOf": [*forms], "examples": examples}


# The playground draws the last form.
AGENT_INPUT = _input("Input", _CONVERSATION, _MESSAGES, _DECISIONS, _TEXT)
CHAIN_INPUT = _input("Messages", _CONVERSATION, _MESSAGES, _TEXT)
