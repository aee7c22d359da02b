"""The pages of a task, on a web server of this machine."""

import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

POLL_S = 0.05


class Site:
    """Serves pages on a free port of loopback while the context lasts."""

    def __init__(self) -> None:
        self._pages: Mapping[str, str] = {}
        self._down_first: frozenset[str] = frozenset()
        self._asked: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`."""
        return f"http://127.0.0.1:{self.port}"

    def show(self, pages: Mapping[str, str], *, down_first: tuple[str, ...] = ()) -> None:
        """From now on these pages are there; those of `down_first` fail when first asked for."""
        self._pages = pages
        self._down_first = frozenset(down_first)
        self._asked.clear()

    def __enter__(self) -> Self:
        """Begin to serve."""
        serve = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="pages", daemon=True
        )
        serve.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and content of a page."""
        self._asked[path] += 1
        if path in self._down_first and self._asked[path] == 1:
            return 503, b"Back in a moment."
        page = self._pages.get(path)
        return (404, b"There is no such page.") if page is None else (200, page.encode())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            """Answers from the site's pages."""

            def do_GET(self) -> None:
                """Answer one request."""
                status, content = site.answer(self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        return Handler
