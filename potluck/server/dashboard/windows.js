"use strict";
// What is left of each limit, and when it is back. A full bar: all of it is left.

const LOW_SHARE = 0.8;
const LONG = new Set(["day", "month"]);

function showProviders(report) {
  const on = report.providers.filter((p) => p.models.length);
  show($("providers"), on.length ? on.map(providerBlock)
    : h("p", { class: "quiet" }, "Nothing is counted yet: no provider is connected."));
}

function providerBlock(provider) {
  const ready = provider.models.filter((m) => m.available).length;
  const all = provider.models.length;
  const state = ready === all ? "" : ready ? `${ready} of ${several(all, "model")} ready` : "out";
  return h("div", { class: "provider", "data-key": provider.id },
    h("h3", null, provider.id,
      provider.paid ? h("span", { class: "mark ok" }, "paid") : null,
      state ? h("span", { class: ready ? "mark ok" : "mark out" }, state) : null),
    sharedWindows(provider),
    provider.models.map((model) => modelBlock(provider, model)));
}

function sharedWindows(provider) {
  const shared = new Map();
  for (const model of provider.models) {
    for (const one of model.windows) if (one.account_wide) shared.set(one.id, one);
  }
  if (!shared.size) return null;
  return h("div", { class: "model", "data-key": "shared" },
    h("div", { class: "head" }, h("span", { class: "quiet" }, "all models together")),
    windowsBlock([...shared.values()]));
}

function modelBlock(provider, model) {
  const own = model.windows.filter((one) => !one.account_wide);
  return h("div", { class: "model", "data-key": `${model.id} ${model.key_id}` },
    h("div", { class: "head" }, h("b", null, nameOf(provider, model).slice(provider.id.length + 1)), stateMark(model)),
    paceNote(model),
    own.length ? windowsBlock(own)
      : model.windows.length ? null : h("div", { class: "window quiet" }, "No limit is known, and none is counted."));
}

function stateMark(model) {
  if (model.available) return null;
  return h("span", { class: "mark out" }, model.back_at ? `back ${until(model.back_at)}` : "out");
}

function paceNote(model) {
  const { status, exhausted_at: end } = model.advice;
  if (status !== "REDUCE_USAGE" || !end || !model.available || Date.parse(end) <= now_ms()) return null;
  return h("div", { class: "window fault" }, `Used up ${until(end)} if it goes on like this.`);
}

function windowsBlock(windows) {
  const limited = windows.filter((one) => one.limit !== null);
  const tight = limited.toSorted((a, b) => b.share - a.share)[0];
  const front = limited.filter((one) => LONG.has(one.period) || one.share >= 0.5);
  if (!front.length && tight) front.push(tight);
  const rest = windows.filter((one) => !front.includes(one));
  return [
    front.map(windowRow),
    rest.length ? h("details", { "data-key": "rest" },
      h("summary", null, restName(rest, front.length)), rest.map(windowRow)) : null,
  ];
}

function restName(rest, inFront) {
  if (rest.every((one) => one.limit === null)) return "What is counted without a limit";
  return inFront ? several(rest.length, "more limit") : several(rest.length, "limit");
}

function windowRow(one) {
  const name = `${UNITS[one.unit]}${PERIODS[one.period]}`;
  if (one.limit === null) {
    return h("div", { class: "window", "data-key": one.id },
      h("div", { class: "label" }, h("span", null, `${short(one.used)} ${name} used`), h("span", { class: "when" }, "no limit known")));
  }
  const left = Math.max(0, one.left);
  const share = one.limit > 0 ? Math.min(1, left / one.limit) : 0;
  const least = one.unit === "requests" || one.unit === "concurrent" ? 1 : 0;
  const isOut = left < least || left <= 0;
  const level = isOut ? "out" : one.share >= LOW_SHARE ? "low" : "";
  return h("div", { class: `window ${level}`, "data-key": one.id },
    h("div", { class: "label" },
      h("span", null, h("b", null, leftWords(left, isOut)), ` of ${short(one.limit)} ${name} left`, level === "low" ? " (low)" : ""),
      h("span", { class: "when" }, backWords(one, isOut))),
    h("div", { class: "bar", "aria-hidden": "true" }, h("i", { share: share.toFixed(3) })));
}

function leftWords(left, isOut) {
  return isOut ? "none" : short(left);
}

function backWords(one, isOut) {
  if (one.unit === "concurrent") return "";
  if (isOut && one.free_at) return `some back ${until(one.free_at)}`;
  const isCalendar = one.reset !== "rolling" && one.reset !== "refill";
  if (isCalendar && one.resets_at) return `resets ${until(one.resets_at)}`;
  return one.resets_at && one.used > 0 ? `all back ${until(one.resets_at)}` : "unused";
}
