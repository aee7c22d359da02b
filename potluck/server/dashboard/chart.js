"use strict";
// Calls over time, stacked by outcome. The arrow keys go from column to column as a pointer does.

const HEIGHT = 208;
const MARGIN = { top: 8, right: 20, bottom: 22, left: 40 };

let columns = [];
let chosen = null;

function columnsOf(span, report, hours) {
  if (span === "days") {
    return report.days.map((one) => ({ name: day(one.day), tick: day(one.day), totals: one.totals }));
  }
  return hours.hours.map((one) => ({
    name: `${clock(one.hour)} to ${clock(Date.parse(one.hour) + 3600000)}`, tick: clock(one.hour), totals: one.totals,
  }));
}

function sumOf(totals) {
  return OUTCOMES.reduce((sum, [outcome]) => sum + totals[outcome], 0);
}

function outcomeWords(totals) {
  const words = OUTCOMES.filter(([outcome]) => totals[outcome]).map(([outcome, name]) => `${count(totals[outcome])} ${name}`);
  return words.join(", ") || "no calls";
}

function showChart(span, report, hours) {
  columns = columnsOf(span, report, hours);
  const title = span === "days" ? "Calls by day" : "Calls by hour";
  const most = Math.max(0, ...columns.map((one) => sumOf(one.totals)));
  if (!most) {
    const when = span === "days" ? "30 days" : "24 hours";
    const text = columns.length ? `No calls in the last ${when}.` : "The usage history cannot be read now.";
    return show($("chart"), h("p", { class: "quiet", "data-key": "none" }, text));
  }
  if (chosen !== null && chosen >= columns.length) chosen = null;
  show($("chart"), legend(), plot(title, most), readout(), table(title, span));
}

function legend() {
  const used = OUTCOMES.map(([outcome, name]) => [outcome, name, columns.reduce((sum, one) => sum + one.totals[outcome], 0)]);
  return h("div", { class: "legend", "data-key": "legend" }, used.filter(([, , calls]) => calls).map(([outcome, name, calls]) =>
    h("span", { "data-key": outcome }, h("i", { class: outcome, "aria-hidden": "true" }), h("b", null, count(calls)), ` ${name}`)));
}

function plot(title, most) {
  const width = Math.max(260, $("chart").clientWidth);
  const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const step = niceStep(most);
  const top = Math.ceil(most / step) * step;
  const y = (value) => MARGIN.top + inner.height * (1 - value / top);
  const slot = inner.width / columns.length;
  const drawing = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" },
    gridLines(top, step, y, width), columns.map((one, at) => column(one, at, slot, y)), ticks(slot, inner.width));
  const here = chosen ?? columns.length - 1;
  return h("div", {
    id: "plot", "data-key": "plot", tabindex: "0", role: "slider", "aria-label": `${title}; arrow keys move`,
    "aria-valuemin": "0", "aria-valuemax": columns.length - 1, "aria-valuenow": here, "aria-valuetext": readoutText(here),
  }, drawing);
}

function niceStep(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

function gridLines(top, step, y, width) {
  const lines = [];
  for (let value = 0; value <= top; value += step) {
    lines.push(svg("line", { class: value ? "grid" : "ground", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
    lines.push(svg("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  return lines;
}

function column(one, at, slot, y) {
  const gap = Math.min(6, slot * 0.25);
  const left = MARGIN.left + at * slot;
  const parts = [];
  if (at === chosen) parts.push(svg("rect", { class: "here", x: left, y: MARGIN.top, width: slot, height: y(0) - MARGIN.top }));
  let below = 0;
  for (const [outcome] of OUTCOMES) {
    const calls = one.totals[outcome];
    if (!calls) continue;
    const height = y(below) - y(below + calls);
    // A line of the ground between two parts tells them apart without their colours
    const line = below && height > 3 ? 1 : 0;
    parts.push(svg("rect", {
      class: outcome, x: left + gap / 2, y: y(below + calls), width: Math.max(1, slot - gap), height: Math.max(1.5, height - line),
    }));
    below += calls;
  }
  return svg("g", null, parts);
}

function ticks(slot, width) {
  const every = Math.ceil(columns.length / Math.max(2, Math.floor(width / 76)));
  return columns.map((one, at) => (columns.length - 1 - at) % every ? null : svg("text", {
    x: MARGIN.left + (at + 0.5) * slot, y: HEIGHT - 5, "text-anchor": "middle",
  }, one.tick));
}

function readoutText(at) {
  const one = columns[at];
  return one ? `${one.name}: ${outcomeWords(one.totals)}` : "";
}

function readout() {
  const text = chosen === null ? "Point at a column, or move with the arrow keys." : readoutText(chosen);
  return h("p", { class: "readout", "data-key": "readout" }, text);
}

function table(title, span) {
  const rows = columns.filter((one) => sumOf(one.totals)).reverse();
  return h("details", { "data-key": "table" }, h("summary", null, `${title} as a table`),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, span === "days" ? "Day" : "Hour"),
        OUTCOMES.map(([, name]) => h("th", { scope: "col" }, name)))),
      h("tbody", null, rows.map((one) => h("tr", null, h("th", { scope: "row" }, one.name),
        OUTCOMES.map(([outcome]) => h("td", null, count(one.totals[outcome])))))))));
}

function columnAt(clientX) {
  const box = $("plot").getBoundingClientRect();
  const slot = (box.width - MARGIN.left - MARGIN.right) / columns.length;
  const at = Math.floor((clientX - box.left - MARGIN.left) / slot);
  return at >= 0 && at < columns.length ? at : null;
}

function columnByKey(name) {
  const last = columns.length - 1;
  const here = chosen ?? last + (name === "ArrowLeft" ? 1 : 0);
  const places = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last };
  return name in places ? Math.min(last, Math.max(0, places[name])) : null;
}
