"""The quota report as `potluck usage` prints it, on wide and on narrow terminals."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from potluck.quota.report_form import ParkedReport, QuotaReport, Totals
from potluck.terminal.lines import print_line
from potluck.terminal.screen import printable
from potluck.terminal.usage_rows import (
    NOW,
    Tone,
    UsageRow,
    clock_time,
    counted,
    off,
    rows_of,
    span,
)

WIDEST = 10_000
BAR = 10
STYLES: dict[Tone, str] = {"good": "green", "fair": "yellow", "bad": "red", "dim": "dim"}


def print_usage(report: QuotaReport, console: Console) -> None:
    """Quota left, then the runs that wait, then what was used."""
    on = [(each.id, rows_of(each, report.at)) for each in report.providers if each.on]
    table = _table(on)
    if _fits(table, console):
        console.print(table)
    else:
        for provider, rows in on:
            _print_narrow(provider, rows, console)
    if not on:
        told = "No LLM is connected: put a free key into .env (`potluck check` lists them)."
        print_line(told, console)
    elif off(report.providers):
        names = ", ".join(off(report.providers))
        print_line(f"off: {names} (`potluck check` says why)", console, "dim")
    _print_parked(report, console)
    _print_totals(report, console)
    for lack in report.missing:
        print_line(lack, console, "yellow")


def _fits(table: Table, console: Console) -> bool:
    """Whether nothing of it would be cut off."""
    boundless = console.options.update(width=WIDEST)
    return bool(table.rows) and console.measure(table, options=boundless).maximum <= console.width


def _table(groups: list[tuple[str, list[UsageRow]]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("provider", "model", "window", "", "used", "resets", "advice"):
        numbers = name in {"used", "resets"}
        table.add_column(name, justify="right" if numbers else "left", no_wrap=True)
    for provider, rows in groups:
        before = ""
        for number, row in enumerate(rows):
            table.add_row(
                Text(printable(provider) if number == 0 else "", style="bold"),
                Text(printable(row.model) if row.model != before else ""),
                Text(row.window),
                _bar(row),
                Text(row.used),
                Text(row.resets),
                Text(row.note, style=STYLES[row.tone] if row.note else ""),
            )
            before = row.model
    return table


def _print_narrow(provider: str, rows: list[UsageRow], console: Console) -> None:
    """Each model a line of its own, under it its windows: nothing is cut off."""
    print_line(printable(provider), console, "bold")
    before = ""
    for row in rows:
        if row.model != before:
            print_line(printable(row.model), console, indent=2)
        before = row.model
        resets = f", resets {row.resets}" if row.resets else ""
        bar = Text() if row.share is None else Text.assemble(_bar(row), " ")
        line = Text.assemble(bar, f"{row.used} {row.window}{resets}".strip())
        if row.note:
            line.append(f"; {row.note}", style=STYLES[row.tone])
        print_line(line, console, indent=4)


def _bar(row: UsageRow) -> Text:
    if row.share is None:
        return Text(" " * BAR)
    # Something used is seen, and only what is used up is full
    filled = int(min(1.0, row.share) * BAR) or int(row.share > 0)
    bar = Text("█" * filled, style=STYLES[row.tone])
    return bar.append("░" * (BAR - filled), style="dim")


def _print_parked(report: QuotaReport, console: Console) -> None:
    if not report.parked:
        return
    count = len(report.parked)
    console.print()
    print_line(f"Waiting for quota; {'each ' if count > 1 else ''}goes on by itself:", console)
    for run in report.parked:
        print_line(_parked(run, report), console, indent=2)
    print_line("potluck usage --resume ID: at once; --cancel ID: never", console, "dim", indent=2)


def _parked(run: ParkedReport, report: QuotaReport) -> str:
    left = span(run.resume_at - report.at)
    when = left if left == NOW else f"at {clock_time(run.resume_at, report.at)}, in {left}"
    return printable(f"{run.thread_id}  {when}: {run.reason}")


def _print_totals(report: QuotaReport, console: Console) -> None:
    console.print()
    if report.today is not None:
        print_line(f"today (UTC): {'; '.join(_totals(report.today))}", console)
    if len(report.days) > 1:
        for day in report.days:
            print_line(f"{day.day}  {'; '.join(_totals(day.totals))}", console, indent=2)


def _totals(totals: Totals) -> Iterator[str]:
    yield counted(totals.sent, "call")
    counts = {
        "failed": totals.failed,
        "cancelled": totals.cancelled,
        "held back by our own limits": totals.refused,
    }
    yield from (f"{count:,} {name}" for name, count in counts.items() if count)
    if totals.sent:
        yield f"{totals.input_tokens:,} tokens in, {totals.output_tokens:,} out"
    if totals.cached:
        yield f"{totals.cached:,} from the cache ({counted(totals.cached_tokens, 'token')} saved)"
    if totals.batches:
        steps = counted(totals.batched_steps, "step")
        yield f"{steps} batched in {counted(totals.batches, 'call')}"
    if totals.saved_usd:
        yield f"{dollars(totals.saved_usd)} not spent"
    if totals.spent_usd:
        yield f"{dollars(totals.spent_usd)} spent at list price"
    if totals.unpriced:
        yield f"{totals.unpriced:,} at no known price"


def dollars(amount: float) -> str:
    """An amount of USD, in cents, or with as many places as small ones need."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.2g}" if amount >= 1e-4 else "<$0.0001"
