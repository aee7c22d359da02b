"""The span of one call to one model."""

from collections.abc import Mapping

from opentelemetry.trace import Span, SpanKind

from potluck import telemetry
from potluck.errors import ProviderError
from potluck.providers.attempt import Attempt
from potluck.providers.backend import Backend
from potluck.providers.terms import Terms

# What OpenTelemetry calls those whom we call otherwise
_NAMES = {"google_gemini": "gcp.gemini", "mistral": "mistral_ai"}
_OPTIONS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}


def begin_call(backend: Backend, terms: Terms, options: Mapping[str, object]) -> Span:
    """A span for a call that is about to be made."""
    model = backend.model
    attributes: dict[str, telemetry.Value] = {
        telemetry.OPERATION: "chat",
        telemetry.PROVIDER: _NAMES.get(model.provider, model.provider),
        telemetry.REQUEST_MODEL: model.id,
        "potluck.provider": model.provider,
        "potluck.account": backend.deployment.key_id,
        "potluck.task_type": terms.task_type,
        "potluck.priority": terms.priority,
    }
    for option, name in _OPTIONS.items():
        value = options.get(option)
        if isinstance(value, int | float):
            attributes[name] = value
    if terms.thread is not None:
        attributes[telemetry.CONVERSATION] = terms.thread
    return telemetry.begin(f"chat {model.id}", attributes, kind=SpanKind.CLIENT)


def end_call(
    span: Span, attempt: Attempt, failure: ProviderError | None, *, answered: bool
) -> None:
    """Write down how the call ended, and what it used."""
    if span.is_recording():
        if attempt.used.of("tokens"):
            span.set_attribute(telemetry.INPUT_TOKENS, round(attempt.used.input_tokens))
            span.set_attribute(telemetry.OUTPUT_TOKENS, round(attempt.used.output_tokens))
        if attempt.first_word_s is not None:
            span.set_attribute(telemetry.FIRST_CHUNK, attempt.first_word_s)
        if failure is not None:
            telemetry.fail(span, failure.kind.value)
        elif not answered:
            telemetry.fail(span, "cancelled")
    span.end()
