"use strict";
// How things stand: the sentence on top, today's figures, what fails, who is off.

const FAULTS_SHOWN = 6;

function showVerdict(report) {
  const text = verdictOf(report);
  setText($("verdict"), text);
  document.title = `Potluck: ${text}`;
}

function verdictOf(report) {
  const on = report.providers.filter((p) => p.models.length);
  if (!on.length) return "No provider is connected: the offline model answers.";
  const asked = on.some((p) => !p.paid) ? on.filter((p) => !p.paid) : on;
  const ready = asked.filter((p) => p.models.some((m) => m.available));
  if (ready.length === asked.length) {
    return asked.length === 1 ? `${asked[0].id} can be asked now.` : `All ${asked.length} providers can be asked now.`;
  }
  if (ready.length) return `${ready.length} of ${asked.length} providers can be asked now.`;
  const back = asked.flatMap((p) => p.models.map((m) => m.back_at)).filter(Boolean).sort()[0];
  return `No provider can be asked now.${back ? ` The first is back ${until(back)}.` : ""}`;
}

function showToday(report) {
  const today = report.today;
  const last = report.days.at(-1);
  setText($("today-note"), last ? `${day(last.day)}, by UTC${areOwn(report) ? "; your calls only" : ""}` : "");
  if (!today) return show($("tiles"), h("p", { class: "quiet" }, "The usage history cannot be read now."));
  const saved = report.days.reduce((sum, one) => sum + one.totals.saved_usd, 0);
  const given = today.answered + today.cached;
  const tiles = [
    tile("Calls sent", count(today.sent), `${count(today.answered)} answered, ${count(today.failed)} failed`),
    tile("From the cache", count(today.cached),
      today.cached ? `${percent(today.cached, given)} of answers, ${short(today.cached_tokens)} tokens not spent` : "no answer yet"),
    tile("Tokens", short(today.input_tokens + today.output_tokens),
      `${short(today.input_tokens)} in, ${short(today.output_tokens)} out`),
    tile("Money not spent", dollars(today.saved_usd), [
      `${dollars(saved)} in ${several(report.days.length, "day")}`,
      today.unpriced ? `; ${several(today.unpriced, "answer")} without a known price` : "",
    ].join("")),
  ];
  if (today.spent_usd > 0) tiles.push(tile("Money spent", dollars(today.spent_usd), "at paid providers"));
  if (today.refused > 0) tiles.push(tile("Held back", count(today.refused), "by our limits, nothing sent"));
  if (today.batches > 0) {
    const kept = today.batched_steps - today.batches;
    tiles.push(tile("Calls saved by batching", count(kept), `${several(today.batched_steps, "step")} in ${several(today.batches, "call")}`));
  }
  show($("tiles"), tiles);
}

// A key with the role "user" is shown what its own user has called; what is left is everybody's.
function areOwn(report) {
  return (report.calls_of ?? null) !== null;
}

function tile(name, figure, note) {
  return h("dl", { class: "tile", "data-key": name },
    h("dt", null, name), h("dd", { class: "figure" }, figure), h("dd", null, h("small", null, note)));
}

function showFaults(report, hours) {
  const items = [
    ...[...new Set([...report.missing, ...hours.missing])].map((text) => h("li", { class: "fault" }, text)),
    ...outagesOf(report, hours.faults),
    ...hours.faults.filter((fault) => !outageOf(report, fault)).map(faultItem),
  ];
  const rest = items.slice(FAULTS_SHOWN);
  show($("faults"),
    items.length ? h("ul", { class: "items" }, items.slice(0, FAULTS_SHOWN))
      : h("p", { class: "quiet" }, `Nothing: no call${areOwn(hours) ? " of yours" : ""} has failed in the last 24 hours.`),
    rest.length ? h("details", { "data-key": "rest" },
      h("summary", null, `${rest.length} more`), h("ul", { class: "items" }, rest)) : null);
}

function outageOf(report, fault) {
  const provider = report.providers.find((p) => p.id === fault.provider);
  return provider?.models.find((m) => m.id === fault.model && m.outage?.kind === fault.kind);
}

function outagesOf(report, faults) {
  return report.providers.flatMap((provider) => provider.models.filter((m) => m.outage).map((model) => {
    const { kind, reason, until: end, certain } = model.outage;
    const calls = faults.find((f) => f.provider === provider.id && f.model === model.id && f.kind === kind);
    const again = certain ? "Asked again" : "Asked in its turn again";
    const over = end && Date.parse(end) > now_ms() ? `${again} ${until(end)}.`
      : end ? "Asked again with the next call." : certain ? "No end is known." : "";
    return h("li", null,
      h("div", { class: "head" }, h("b", null, nameOf(provider, model)),
        h("span", { class: "mark out" }, certain ? "out" : "asked after the others")),
      h("div", null, `${upper(kindOf(kind))}: ${reason}`),
      h("div", { class: "quiet" }, [over, calls ? `${upper(failedCalls(calls))}.` : ""].join(" ")));
  }));
}

function faultItem(fault) {
  return h("li", null,
    h("div", { class: "head" }, h("b", null, `${fault.provider}/${fault.model}`),
      fault.answered_after ? h("span", { class: "mark ok" }, "answers again") : null),
    h("div", null, `${upper(kindOf(fault.kind))}: ${failedCalls(fault)}.`));
}

function failedCalls(fault) {
  return `${several(fault.calls, "call")} in 24 hours, the last ${ago(fault.last_at)}`;
}

function nameOf(provider, model) {
  const accounts = new Set(provider.models.map((m) => m.key_id));
  return `${provider.id}/${model.id}${accounts.size > 1 ? ` (key ${model.key_id})` : ""}`;
}

function upper(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function showOff(report) {
  const off = report.providers.filter((p) => !p.on);
  const isEmpty = !report.providers.some((p) => p.on);
  $("start").hidden = !isEmpty;
  $("off-section").hidden = isEmpty || !off.length;
  if (isEmpty) showStart(off);
  else {
    show($("off"), h("details", { "data-key": "off" },
      h("summary", null, off.length === 1 ? "1 provider" : `${off.length} providers`),
      h("ul", { class: "items" }, off.map(offItem))));
  }
}

function showStart(off) {
  const free = off.filter((p) => !p.paid && p.key_url);
  show($("start-body"),
    h("p", null, "Potluck answers with its offline model, which does basics only. To connect a free one:"),
    h("ol", null,
      h("li", null, "Get a key from one of the providers below. Each has a free tier; with several there is more quota."),
      h("li", null, "Write it into the file ", h("code", null, ".env"), " in Potluck's folder, such as ", h("code", null, "GROQ_API_KEY=your-key"), "."),
      h("li", null, "Start ", h("code", null, "potluck serve"), " again; this page goes on by itself. ",
        h("code", null, "potluck check"), " tells what is still in the way.")),
    h("h3", null, "Where to get a key"),
    h("ul", { class: "items" }, free.map(offItem)));
}

function offItem(provider) {
  return h("li", { "data-key": provider.id },
    h("div", { class: "head" }, h("b", null, provider.id), provider.paid ? h("span", { class: "mark ok" }, "paid") : null,
      h("span", { class: "quiet" }, provider.reason)),
    provider.key_url ? h("div", null, outLink(provider.key_url, provider.key_url)) : null);
}
