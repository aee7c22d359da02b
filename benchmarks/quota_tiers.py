"""The five free tiers of the quota benchmark, what is asked of them, and the most they can give.

Each tier has the limits of a real one, except that openrouter has the thousand requests a day of a
topped-up account, and nvidia answers one request at a time:

| tier         | limits                                                   | a minute    |
|--------------|----------------------------------------------------------|-------------|
| groq         | 30 requests and 8,000 tokens a minute, flowing back evenly; 1,000 requests and 200,000 tokens a day | tokens / 434 |
| google_gemini| 15 requests and 250,000 input tokens in any minute, 500 a day | 15      |
| openrouter   | 20 requests in any minute, 1,000 a day, over its two models together | 20 |
| nvidia       | 40 requests in any minute, one at a time, 4 s each       | 15          |
| sambanova    | 20 requests in any minute, 20 a day                      | 20, one day |

**The theoretical maximum** of a run of T seconds is what any router could get admitted at most. A
window of any minute admits its limit once for each minute begun, `L * ceil(T / 60)`; one that flows
back evenly was full at the start, `L * (1 + T / 60)`; a tier that works on one request at a time
begins `ceil(T / 4)`; a day's quota is there once. A tier gives the least of its windows, with a
token window counted in requests of the mean size (334 in, 100 out); all tiers together give the sum
of that, and no more than what was asked. **The pooled quota** is the same for a run that never ends,
`L * T / 60` for a minute's limit, plus the day's quota: demand is a multiple of it.

Nothing but the standard library is imported here: peers run it in environments of their own.
"""  # noqa: E501 # a table

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MINUTE_S = 60.0
BURST_EVERY_S = 30.0
TOKENS_OUT = (60, 140)
WARM_UP = "Is anybody there?"
LETTERS_PER_TOKEN = 3.6
PROMPT_LETTERS = 1_200
MEAN_TOKENS_IN = math.ceil(PROMPT_LETTERS / LETTERS_PER_TOKEN)
MEAN_TOKENS_OUT = sum(TOKENS_OUT) / 2
_FILLER = "The boats were painted in the spring and lay along the quay until the herring came. "

Shape = Literal["steady", "bursts"]


@dataclass(frozen=True, slots=True)
class Tier:
    """One provider's free tier; `limits` by the simulator's names of windows.

    `refill` when its windows flow back evenly; `account_wide` when its models share them;
    `answer_s` is how long an answer takes.
    """

    provider: str
    api: str
    path: str
    models: tuple[str, ...]
    limits: Mapping[str, int]
    answer_s: float
    refill: bool = False
    account_wide: bool = False
    input_only: bool = False
    concurrent: int | None = None

    @property
    def mean_tokens(self) -> float:
        """What a request of the mean size takes from a token window."""
        return MEAN_TOKENS_IN + (0 if self.input_only else MEAN_TOKENS_OUT)


TIERS = (
    Tier(
        "groq", "groq", "/openai/v1", ("openai/gpt-oss-120b",),
        {
            "minute_requests": 30, "minute_tokens": 8_000,
            "day_requests": 1_000, "day_tokens": 200_000,
        },
        answer_s=0.3, refill=True,
    ),
    Tier(
        "google_gemini", "gemini", "", ("gemini-3.5-flash-lite",),
        {"minute_requests": 15, "minute_tokens": 250_000, "day_requests": 500},
        answer_s=0.8, input_only=True,
    ),
    Tier(
        "openrouter", "openai", "/api/v1", ("openai/gpt-oss-120b:free", "qwen/qwen3-coder:free"),
        {"minute_requests": 20, "day_requests": 1_000},
        answer_s=1.2, account_wide=True,
    ),
    Tier(
        "nvidia", "openai", "/v1", ("openai/gpt-oss-120b",),
        {"minute_requests": 40},
        answer_s=4.0, account_wide=True, concurrent=1,
    ),
    Tier(
        "sambanova", "openai", "/v1", ("gpt-oss-120b",),
        {"minute_requests": 20, "day_requests": 20, "day_tokens": 200_000},
        answer_s=0.5,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """One contest of the table: how much is asked, how, and what the contender knows.

    `load` is the demand as a multiple of the pooled quota. `known`: the contender is told the
    limits. `comes_back`: a client that was refused asks again when it was told to, or 5 s later.
    """

    load: float
    shape: Shape
    known: bool = True
    comes_back: bool = False

    @property
    def name(self) -> str:
        """Its row in the tables."""
        told = "" if self.known else ", limits unknown"
        again = ", client comes back" if self.comes_back else ""
        return f"{self.load:g}x {self.shape}{told}{again}"

    @property
    def key(self) -> str:
        """The API key of its client at every provider: each cell has budgets of its own."""
        return "sk-" + self.name.translate(str.maketrans(" ,.", "---"))

    def arrivals(self, run_s: float) -> list[float]:
        """When each of its requests comes in, in seconds from the start."""
        count = round(self.load * pooled_quota(run_s))
        if self.shape == "steady":
            return [number * run_s / count for number in range(count)]
        bursts = max(1, round(run_s / BURST_EVERY_S))
        return [number * bursts // count * BURST_EVERY_S for number in range(count)]


def pooled_quota(run_s: float) -> float:
    """How many requests a minute all tiers stand for, over a run: demand is measured by it."""
    return sum(_sustained(tier, run_s) for tier in TIERS)


def theoretical_maximum(run_s: float, asked: int) -> int:
    """The most requests that any router could get admitted during a run."""
    return min(asked, math.floor(sum(capacity(tier, run_s) for tier in TIERS)))


def capacity(tier: Tier, run_s: float) -> float:
    """The most requests that the tier admits during a run."""
    begun = 1 + run_s / MINUTE_S if tier.refill else math.ceil(run_s / MINUTE_S)
    most = [_requests(tier, name) * (begun if _is_minute(name) else 1) for name in tier.limits]
    if tier.concurrent is not None:
        most.append(tier.concurrent * math.ceil(run_s / tier.answer_s))
    return min(most)


def prompt(number: int) -> str:
    """What the client asks; all prompts are of one length."""
    return (f"This is request {number}. " + _FILLER * 20)[:PROMPT_LETTERS]


def number_in(text: str) -> int | None:
    """The number of the request, if the text is one of ours."""
    words = text.split(maxsplit=4)
    if words[:3] != ["This", "is", "request"]:
        return None
    return int(words[3].rstrip("."))


def tokens_in(text: str) -> int:
    """How many tokens a provider counts in a text; more than most clients guess."""
    return math.ceil(len(text) / LETTERS_PER_TOKEN)


def tokens_out(number: int) -> int:
    """How many tokens the answer to a request has; spread evenly."""
    least, most = TOKENS_OUT
    return least + number * 37 % (most - least + 1)


def worst_in_period(times_s: Sequence[float], period_s: float) -> int:
    """The most events that lie within one period."""
    times, first, worst = sorted(times_s), 0, 0
    for last, time_s in enumerate(times):
        while times[first] + period_s <= time_s:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


def _sustained(tier: Tier, run_s: float) -> float:
    most = [
        _requests(tier, name) * (run_s / MINUTE_S if _is_minute(name) else 1)
        for name in tier.limits
    ]
    if tier.concurrent is not None:
        most.append(tier.concurrent * run_s / tier.answer_s)
    return min(most)


def _requests(tier: Tier, window: str) -> float:
    limit = tier.limits[window]
    return limit / tier.mean_tokens if window.endswith("tokens") else limit


def _is_minute(window: str) -> bool:
    return window.startswith("minute")
