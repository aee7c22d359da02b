"""The dashboard door: `GET /dashboard`, a page that shows what `/quota` says, and holds no data.

It needs no key itself; what it reads does. The key is typed into the page, and stays in its tab.
"""

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from potluck.server.dashboard.page import read_page
from potluck.server.entity_tags import is_known

PATH = "/dashboard"


def mount(app: FastAPI) -> None:
    """Add `/dashboard`."""
    page = read_page()
    headers = {
        "Content-Security-Policy": page.policy,
        "ETag": page.tag,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }

    async def dashboard(request: Request) -> Response:
        """The page."""
        if is_known(request, page.tag):
            return Response(status_code=304, headers=headers)
        return HTMLResponse(page.text, headers=headers)

    app.get(PATH, include_in_schema=False)(dashboard)
