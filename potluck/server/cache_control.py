"""What a request's headers say of the cache: HTTP's own `Cache-Control`."""

from collections.abc import Mapping

from potluck.cache.responses import CacheMode


def cache_mode(headers: Mapping[str, str]) -> CacheMode:
    """How a request wants to be answered; `headers` are Starlette's, or in lower case.

    `no-cache` and `max-age=0`: ask anew, and keep the answer. `no-store`: neither read nor keep.
    `max-stale`: take a kept answer though it was drawn at a temperature above 0. Other words do
    not count; of contradicting ones the strictest does.
    """
    written = headers.get("cache-control") or headers.get("pragma") or ""
    words = {"".join(word.split()).lower() for word in written.split(",")}
    if "no-store" in words:
        return "off"
    if words & {"no-cache", "max-age=0"}:
        return "refresh"
    return "always" if any(w.partition("=")[0] == "max-stale" for w in words) else "use"
