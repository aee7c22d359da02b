"""The reference of the providers: how to get a key, what it gives, what becomes of your data."""

import re
from collections.abc import Iterator

from manual.markdown import code, table
from manual.provider_notes import ProviderNotes, provider_notes
from potluck.providers.catalog_form import LimitsForm, ModelForm, ProviderForm, ProvidersFile
from potluck.settings import PROJECT_DIR
from potluck.yaml_document import read_document

INTRO = """\
# Every provider

One key is enough; each further one adds its quota to the pot. Put keys into `.env`, one
`NAME=value` a line, start again, and `uv run potluck check` shows whether they work. Free tiers
change without notice: the figures below are those of `config/providers.yaml`, each with the day it
was checked. What Potluck [learns from answers](../quota.md#what-answers-teach) beats them, and
[you may override them](../configuration.md#limits-configlimitsyaml). Your own endpoint is
[three lines](../extend/provider.md)."""
PRIVATE = """\
## What they do with data

With `privacy: private` in `config/limits.yaml`, or in a run's context, only those are asked that
are known not to train on what you send: {}. All others may, or do not say."""
TRAINS = {
    "yes": "**trains on what you send**",
    "no": "does not train on what you send",
    "unknown": "not known",
}
_CREDITS = {"cloudflare": "neurons", "huggingface": "US dollars of credits"}


def providers_page() -> str:
    """The whole page."""
    forms = provider_forms()
    notes = provider_notes()
    private = [code(name) for name, form in forms.items() if form.trains_on_prompts == "no"]
    rows = [_row(name, form, notes[name]) for name, form in forms.items()]
    parts = [
        INTRO,
        table(("provider", "key in `.env`", "needs", "your data"), rows),
        PRIVATE.format(", ".join(private)),
    ]
    for name, form in forms.items():
        parts += _section(name, form, notes[name])
    return "\n\n".join(parts)


def provider_forms() -> dict[str, ProviderForm]:
    """The shipped providers, in the order in which they are asked."""
    read = read_document(PROJECT_DIR / "config" / "providers.yaml").values
    return dict(ProvidersFile.model_validate(read).providers)


def key_names(form: ProviderForm) -> list[str]:
    """The variables that it needs: those of its key, and those in its address."""
    return [*form.api_key_env, *re.findall(r"\$\{(\w+)\}", form.base_url or "")]


def limit_words(limits: LimitsForm) -> str:
    """Limits as people say them: 30 requests a minute, 1,000 requests a day."""
    said = limits.model_dump(exclude_none=True)
    return ", ".join(_limit(name, value) for name, value in said.items())


def _limit(name: str, amount: float) -> str:
    value = int(amount) if amount == int(amount) else amount
    if name == "concurrent_requests":
        return f"{value:,} {'call' if value == 1 else 'calls'} at a time"
    what, _, period = name.partition("_per_")
    return f"{value:,} {what.replace('_', ' ')} a {period}"


def _row(name: str, form: ProviderForm, notes: ProviderNotes) -> tuple[str, ...]:
    link = f"[{notes.title}](#{anchor(notes.title)})"
    keys = key_names(form)
    joined = " and " if "${" in (form.base_url or "") else " or "
    return (
        f"{link} ({code(name)})",
        joined.join(map(code, keys)) or "no key",
        notes.needs,
        TRAINS[form.trains_on_prompts],
    )


def anchor(title: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _section(name: str, form: ProviderForm, notes: ProviderNotes) -> Iterator[str]:
    yield f"## {notes.title}"
    yield f"Called {code(name)} in the files of `config/`. It takes {notes.needs}"
    yield "\n".join(f"{number}. {step}" for number, step in enumerate(notes.steps, 1))
    yield f"**What it gives.** {notes.gives}"
    shared = limit_words(form.limits)
    if shared:
        yield f"For all models together: {_in_unit(name, shared)}."
    rows = [_model_row(name, model) for model in form.models or []]
    yield table(("model", "context", "it can", "limits", "list price for a million tokens"), rows)
    yield f"**Your data.** {notes.data} In the catalog: {TRAINS[form.trains_on_prompts]}."
    sources = [*filter(None, [form.source]), *notes.sources]
    links = ", ".join(f"<{source}>" for source in dict.fromkeys(sources))
    yield f"Checked: figures on {form.checked_on}, the rest on {notes.checked_on}. {links}"


def _in_unit(name: str, words: str) -> str:
    return words.replace("credits", _CREDITS.get(name, "credits"))


def _model_row(name: str, model: ModelForm) -> tuple[str, ...]:
    price = model.price
    abilities = model.capabilities or ["tools", "json"]
    return (
        code(f"{name}/{model.id}"),
        f"{model.context:,}" if model.context else "",
        ", ".join(abilities),
        _in_unit(name, limit_words(model.limits)) or "as above, or unknown",
        f"${price.input:g} in, ${price.output:g} out" if price else "",
    )
