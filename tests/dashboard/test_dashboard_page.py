"""The dashboard in Chromium: what it shows, to whom, and how it is used."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, expect

from potluck.quota.hours_report import HourReport
from potluck.quota.report_form import OutageReport
from potluck.server.refusal import refusal
from tests.dashboard import long_reports, reports
from tests.dashboard.conftest import PHONE, WIDE
from tests.dashboard.stage import KEY, METRICS_KEY, Stage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

Open = Callable[..., Page]
SIZES = {"wide": WIDE, "phone": PHONE}
NARROWEST = (320, 640)
WIDEST = (2560, 1440)
TURN_MS = 5000
# How the marks of the legend stand out from the ground, by the formula of WCAG.
MARK_CONTRAST = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((one) => {
      const part = one / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const ground = light(getComputedStyle(document.querySelector("section")).backgroundColor);
  return Object.fromEntries([...document.querySelectorAll(".legend i")].map((mark) =>
    [mark.className, ratio(light(getComputedStyle(mark).backgroundColor), ground)]));
}"""


def ready(page: Page) -> Page:
    expect(page.locator("#board")).to_be_visible()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_it_is_readable_and_accessible(
    stage: Stage, open_page: Open, pictures: Path, width: str, scheme: str
) -> None:
    page = ready(open_page(stage.url, SIZES[width], scheme))
    expect(page.locator("#plot")).to_be_visible()
    for details in page.locator("summary").all():
        details.click()
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]})
    assert found.violations_count == 0, found.generate_report()
    for details in page.locator("summary").all():
        details.click()
    marks = page.evaluate(MARK_CONTRAST)
    assert len(marks) == 5
    assert {name for name, ratio in marks.items() if ratio < 3} == set()
    page.locator("h1").click()
    if width == "phone":
        page.locator("#calls-title").evaluate("title => title.scrollIntoView()")
    picture = pictures / f"dashboard-{width}-{scheme}.png"
    page.screenshot(path=picture, full_page=width == "wide")


@pytest.mark.parametrize("names", ["usual", "long"])
@pytest.mark.parametrize("size", [NARROWEST, PHONE, (768, 1024), WIDE, WIDEST])
def test_nothing_is_wider_than_the_screen(
    stage: Stage, open_page: Open, pictures: Path, size: tuple[int, int], names: str
) -> None:
    if names == "long":
        stage.report, stage.hours = long_reports.long_report, long_reports.long_hours
    page = ready(open_page(stage.url, size))
    page.screenshot(path=pictures / f"dashboard-{names}-{size[0]}.png", full_page=True)
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')]"
        ".filter((e) => !e.closest('.scroll, svg, [hidden]') && "
        "e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.outerHTML)"
    )
    assert wide == []


def test_each_of_several_keys_has_its_own_figures(stage: Stage, open_page: Open) -> None:
    stage.report, stage.hours = long_reports.long_report, long_reports.long_hours
    page = ready(open_page(stage.url))
    expect(page.locator(".model")).to_have_count(2 * long_reports.MANY)
    page.clock.fast_forward(TURN_MS)
    expect(page.locator("#freshness")).to_contain_text("Live")
    expect(page.locator(".model")).to_have_count(2 * long_reports.MANY)
    for number in range(long_reports.MANY):
        expect(page.locator(".model", has_text=f"(key k{number:02})")).to_have_count(2)


def test_it_tells_what_is_left_and_when_the_rest_is_back(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    expect(page.locator("#verdict")).to_have_text("3 of 4 providers can be asked now.")
    groq = page.locator(".provider", has_text="groq")
    expect(groq).to_contain_text("129 of 1,000 requests a day left (low)")
    expect(groq).to_contain_text("resets in 5 h 12 min")
    expect(groq).to_contain_text("Used up in 1 h 50 min if it goes on like this.")
    expect(groq).to_contain_text("none of 1,000 requests a day left")
    expect(groq).to_contain_text("back in 20 min")
    low = groq.locator(".bar > i").first
    full_px = groq.locator(".bar").first.bounding_box()
    left_px = low.bounding_box()
    assert full_px is not None
    assert left_px is not None
    assert left_px["width"] / full_px["width"] == pytest.approx(0.129, abs=0.01)
    shared = page.locator(".provider", has_text="mistral").locator("[data-key=shared]")
    expect(shared).to_contain_text("988M of 1B tokens a month left")


def test_todays_figures_are_those_of_the_report(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    today = reports.quota_report().today
    assert today is not None
    tiles = page.locator("#tiles")
    for name, figure in [
        ("Calls sent", f"{today.sent}"),
        ("From the cache", f"{today.cached}"),
        ("Money not spent", f"${today.saved_usd:.2f}"),
        ("Held back", f"{today.refused}"),
    ]:
        tile = tiles.locator("dl", has_text=name)
        expect(tile.locator(".figure")).to_have_text(figure)


def test_a_user_is_told_that_the_calls_are_his_own(stage: Stage, open_page: Open) -> None:
    stage.report = lambda: reports.quota_report(calls_of="ann")
    stage.hours = lambda: reports.fresh_hours().model_copy(update={"calls_of": "ann"})
    page = ready(open_page(stage.url))
    expect(page.locator("#today-title")).to_contain_text("your calls only")
    expect(page.locator("#calls-title")).to_have_text("Your calls")
    expect(page.locator("#verdict")).to_have_text("3 of 4 providers can be asked now.")
    stage.report = reports.fresh_report
    page.clock.fast_forward(TURN_MS)
    expect(page.locator("#faults")).to_contain_text("no call of yours has failed")


def test_an_admin_is_told_nothing_of_whose_calls_they_are(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    expect(page.locator("#today-title")).not_to_contain_text("your")
    expect(page.locator("#calls-title")).to_have_text("Calls")


def test_it_tells_what_fails_and_why(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    faults = page.locator("#faults")
    expect(faults).to_contain_text("Key refused: Wrong API Key (401).")
    expect(faults).to_contain_text("Limit of a minute reached: 21 calls in 24 hours")
    expect(faults.get_by_text("answers again")).to_have_count(1)
    expect(faults.locator("b", has_text="cerebras/qwen-3-coder-480b")).to_have_count(1)


def test_what_the_database_cannot_tell_is_said(stage: Stage, open_page: Open) -> None:
    reason = "The usage history cannot be reached: refused."
    stage.report = lambda: reports.quota_report(today=None, days=(), missing=(reason,))
    stage.hours = lambda: reports.hours_report(hours=(), models=(), faults=(), missing=(reason,))
    page = ready(open_page(stage.url))
    expect(page.get_by_text(reason)).to_have_count(1)
    expect(page.locator("#tiles")).to_have_text("The usage history cannot be read now.")
    expect(page.locator(".provider")).to_have_count(4)


def test_the_chart_is_read_with_the_keyboard(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    plot = page.get_by_role("slider", name="Calls by hour")
    plot.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    hour = reports.hours_report().hours[-2]
    assert hour.totals.answered == reports.BUSY[-2]
    expect(plot).to_have_attribute("aria-valuetext", f"{_hours(hour)}: 4 answered")
    expect(page.locator(".readout")).to_have_text(f"{_hours(hour)}: 4 answered")
    expect(plot).to_be_focused()


def _hours(hour: HourReport) -> str:
    """As the page says it, whose clock is in Berlin."""
    begins = hour.hour.astimezone(ZoneInfo("Europe/Berlin"))
    return f"{begins:%H:%M} to {begins + timedelta(hours=1):%H:%M}"


def test_days_are_shown_as_well_as_hours(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    page.get_by_label("30 days").check(force=True)
    expect(page.get_by_role("slider", name="Calls by day")).to_be_visible()
    page.get_by_text("Calls by day as a table").click()
    today = page.locator("#chart tbody tr").first
    totals = reports.totals(448)
    expect(today.locator("td")).to_have_text(
        [str(totals.answered), "89", str(totals.cancelled), "28", str(totals.failed)]
    )


def test_it_is_live(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    outage = OutageReport(kind="overload", reason="Too many.", until=None, certain=True)
    gone = reports.model("openai/gpt-oss-120b", available=False, outage=outage)
    stage.report = lambda: reports.quota_report(
        providers=(reports.provider("groq", gone), *reports.providers()[1:])
    )
    page.clock.fast_forward(TURN_MS)
    expect(page.locator("#verdict")).to_have_text("2 of 4 providers can be asked now.")
    expect(page.locator("#faults")).to_contain_text("Too many.")


def test_what_is_unfolded_stays_so_and_the_focus_too(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    second = page.locator("#providers summary").nth(1)
    second.click()
    second.focus()
    before = page.locator("#freshness").inner_text()
    page.clock.fast_forward(TURN_MS)
    expect(page.locator("#freshness")).not_to_have_text(before)
    assert len(stage.asked("/quota")) == 2
    expect(second).to_be_focused()
    assert page.locator("#providers details").nth(1).get_attribute("open") is not None


def test_what_has_not_changed_is_not_sent_again(stage: Stage, open_page: Open) -> None:
    kept_report, kept_hours = reports.fresh_report(), reports.fresh_hours()
    stage.report = lambda: kept_report.model_copy(update={"at": reports.now()})
    stage.hours = lambda: kept_hours.model_copy(update={"at": reports.now()})
    page = ready(open_page(stage.url))
    with page.expect_response("**/quota/hours*"):
        page.clock.fast_forward(TURN_MS)
    expect(page.locator("#freshness")).to_contain_text("Live")
    assert stage.asked("/quota") == [200, 304]
    assert stage.asked("/quota/hours") == [200, 304]
    expect(page.locator("#board")).to_be_visible()


def test_it_can_be_paused(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    page.get_by_role("button", name="Pause").click()
    asked = len(stage.log)
    page.clock.fast_forward(3 * TURN_MS)
    page.wait_for_timeout(300)
    assert len(stage.log) == asked
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#freshness")).to_contain_text("Live")
    page.wait_for_timeout(200)
    assert len(stage.log) > asked


def test_a_server_that_is_gone_is_told_and_its_last_figures_stay(
    stage: Stage, open_page: Open
) -> None:
    page = ready(open_page(stage.url))
    stage.failure = refusal(503, "The database does not answer.", {"Retry-After": "1"})
    page.clock.fast_forward(TURN_MS)
    trouble = page.locator("#trouble")
    expect(trouble).to_contain_text("The database does not answer.")
    expect(page.locator(".provider")).to_have_count(4)
    expect(page.locator("#freshness")).to_have_text("Not up to date")
    stage.failure = None
    page.clock.fast_forward(TURN_MS)
    expect(trouble).to_be_hidden()


def test_without_a_provider_it_says_what_to_do(
    stage: Stage, open_page: Open, pictures: Path
) -> None:
    stage.report, stage.hours = reports.fresh_report, reports.fresh_hours
    page = ready(open_page(stage.url))
    start = page.locator("#start")
    expect(start).to_contain_text("GROQ_API_KEY is not set")
    link = start.get_by_role("link", name="https://console.groq.com/keys")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(start).not_to_contain_text("platform.openai.com")
    assert Axe().run(page).violations_count == 0
    page.screenshot(path=pictures / "dashboard-start.png")


def test_a_link_of_the_catalog_that_would_run_something_is_text(
    stage: Stage, open_page: Open
) -> None:
    bad = reports.off("evil", "javascript:alert(1)")
    stage.report = lambda: reports.fresh_report().model_copy(update={"providers": (bad,)})
    page = ready(open_page(stage.url))
    expect(page.locator("#start")).to_contain_text("javascript:alert(1)")
    expect(page.locator("#start a")).to_have_count(0)


def test_what_a_provider_says_is_shown_as_text(stage: Stage, open_page: Open) -> None:
    markup = "<img src=x onerror=alert(1)><b>bold</b>"
    outage = OutageReport(kind="unknown", reason=markup, until=None, certain=True)
    model = reports.model(markup, available=False, outage=outage)
    stage.report = lambda: reports.quota_report(providers=(reports.provider("box", model),))
    page = ready(open_page(stage.url))
    expect(page.locator("#faults")).to_contain_text(markup)
    expect(page.locator("main img")).to_have_count(0)


def test_a_parked_run_is_tried_at_once(stage: Stage, open_page: Open) -> None:
    page = ready(open_page(stage.url))
    parked = page.locator("#parked")
    expect(parked).to_contain_text("Goes on in 42 min")
    expect(parked).to_contain_text("gemini-3.5-flash-lite and 1 more")
    page.get_by_role("button", name="Try thread").click()
    expect(page.locator("#parked-section")).to_be_hidden()
    expect(page.locator("#said")).to_contain_text("The run goes on.")
    expect(page.locator("#main")).to_be_focused()
    assert ("POST", f"/quota/parked/{reports.parked_run().thread_id}/resume", 200) in stage.log


def test_a_parked_run_is_given_up_only_by_whoever_is_sure(stage: Stage, open_page: Open) -> None:
    runs = (reports.parked_run("a b?c"), reports.parked_run("other"))
    stage.report = lambda: reports.quota_report(parked=runs)
    page = ready(open_page(stage.url))
    give_up = page.get_by_role("button", name="Give thread a b?c up")
    for leave in ("Keep it", "Escape"):
        give_up.click()
        if leave == "Escape":
            page.keyboard.press("Escape")
        else:
            page.get_by_role("button", name=leave).click()
        expect(page.locator("#sure")).to_be_hidden()
        expect(give_up).to_be_visible()
    assert not [line for line in stage.log if line[0] == "DELETE"]
    give_up.click()
    page.get_by_role("button", name="Give it up").click()
    expect(page.locator("#parked li")).to_have_count(1)
    expect(page.locator("#parked-title")).to_be_focused()


def test_a_refused_action_is_told(stage: Stage, open_page: Open) -> None:
    stage.report = lambda: reports.quota_report(parked=(reports.parked_run("busy"),))
    page = ready(open_page(stage.url))
    page.get_by_role("button", name="Give thread busy up").click()
    page.get_by_role("button", name="Give it up").click()
    expect(page.locator("#trouble")).to_contain_text("is just going on by itself")
    expect(page.get_by_role("button", name="Give thread busy up")).to_be_enabled()
    expect(page.get_by_role("button", name="Give thread busy up")).to_be_focused()
    # Long enough to be read, whatever else comes in
    for shows in (True, True, False):
        with page.expect_response("**/quota/hours*"):
            page.clock.fast_forward(TURN_MS)
        expect(page.locator("#trouble")).to_be_visible(visible=shows)


def test_a_run_that_goes_on_another_day_tells_which(stage: Stage, open_page: Open) -> None:
    far = reports.now() + timedelta(days=3)
    run = reports.parked_run().model_copy(update={"resume_at": far})
    stage.report = lambda: reports.quota_report(parked=(run,))
    page = ready(open_page(stage.url))
    told = far.astimezone(ZoneInfo("Europe/Berlin"))
    expect(page.locator("#parked")).to_contain_text(f"{told.day} {told:%b}, {told:%H:%M}; waiting")


def test_behind_keys_it_asks_for_one_and_keeps_it_in_the_tab(stage: Stage, open_page: Open) -> None:
    stage.with_key = True
    page = open_page(stage.url)
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    expect(page.locator("#board")).to_be_hidden()
    assert Axe().run(page).violations_count == 0
    for wrong, fault in [
        ("wrong", "does not know this key"),
        (f"ann:{KEY}", "Of name:secret it is the secret alone."),
        ("ключ", "without spaces"),
    ]:
        page.get_by_label("Key", exact=True).fill(wrong)
        page.keyboard.press("Enter")
        expect(page.locator("#login-fault")).to_contain_text(fault)
    page.get_by_label("Key", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    ready(page)
    assert KEY not in page.content()
    page.reload()
    ready(page)
    other = page.context.new_page()
    other.goto(f"{stage.url}/dashboard")
    expect(other.locator("#login")).to_be_visible()
    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length") == 0


def test_a_key_that_may_not_look_makes_room_for_another(stage: Stage, open_page: Open) -> None:
    stage.with_key = True
    page = open_page(stage.url)
    key = page.get_by_label("Key", exact=True)
    key.fill(METRICS_KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#login-fault")).to_contain_text("may read /metrics and no more")
    page.reload()
    expect(page.locator("#login-fault")).to_contain_text("may read /metrics and no more")
    key.fill(KEY)
    page.keyboard.press("Enter")
    ready(page)


def test_a_key_that_is_forgotten_takes_what_it_showed_with_it(
    stage: Stage, open_page: Open
) -> None:
    stage.with_key = True
    page = open_page(stage.url)
    page.get_by_label("Key", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    ready(page)
    page.get_by_role("button", name="Forget key").click()
    expect(page.locator("#login")).to_be_visible()
    assert "gpt-oss-120b" not in page.content()
    page.reload()
    expect(page.locator("#login")).to_be_visible()


@pytest.mark.parametrize(
    "attempt",
    [
        "document.body.innerHTML = '<b>x</b>'",
        "document.body.setAttribute('onclick', 'alert(1)')",
        "(() => { const s = document.createElement('script'); s.text = 'alert(1)'; })()",
    ],
)
def test_scripts_that_are_not_its_own_do_not_get_in(
    stage: Stage, browser: Browser, attempt: str
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{stage.url}/dashboard")
        with pytest.raises(Error, match="Trusted"):
            page.evaluate(attempt)
