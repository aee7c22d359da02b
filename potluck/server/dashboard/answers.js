"use strict";
// Which models have answered, and how often the cache did.

const ANSWERERS_SHOWN = 8;

function showAnswers(span, report, hours) {
  const models = span === "days" ? sumModels(report.days.flatMap((one) => one.models)) : hours.models.map(asAnswerer);
  const cached = models.reduce((sum, one) => sum + one.cached, 0);
  const answered = models.filter((one) => one.answered).toSorted((a, b) => b.answered - a.answered);
  const rows = answered.slice(0, ANSWERERS_SHOWN).map((one) => ({ ...one, kind: "answered", calls: one.answered }));
  const rest = answered.slice(ANSWERERS_SHOWN).reduce((sum, one) => sum + one.answered, 0);
  if (rest) rows.push({ name: several(answered.length - ANSWERERS_SHOWN, "other model"), kind: "answered", calls: rest });
  if (cached) rows.push({ name: "the cache", kind: "cached", calls: cached });
  const all = rows.reduce((sum, one) => sum + one.calls, 0);
  const most = Math.max(...rows.map((one) => one.calls));
  show($("answers"), rows.length ? h("ul", null, rows.map((one) => answerRow(one, all, most)))
    : h("p", { class: "quiet" }, "Nothing yet."));
}

function asAnswerer(one) {
  const { answered, cached, mean_duration_s: mean } = one.totals;
  return { name: `${one.provider}/${one.model}`, answered, cached, lasted_s: (mean ?? 0) * answered };
}

function sumModels(models) {
  const sums = new Map();
  for (const one of models.map(asAnswerer)) {
    const sum = sums.get(one.name) ?? { name: one.name, answered: 0, cached: 0, lasted_s: 0 };
    sum.answered += one.answered;
    sum.cached += one.cached;
    sum.lasted_s += one.lasted_s;
    sums.set(one.name, sum);
  }
  return [...sums.values()];
}

function answerRow(one, all, most) {
  const mean_s = one.lasted_s ? one.lasted_s / one.answered : 0;
  const pace = mean_s ? `, ${mean_s < 10 ? mean_s.toFixed(1) : Math.round(mean_s)} s each` : "";
  return h("li", { class: "answer", "data-key": one.name },
    h("span", { class: "name" }, one.name),
    h("span", { class: "much" }, h("i", { class: one.kind, "aria-hidden": "true", share: (one.calls / most).toFixed(3) }),
      h("span", null, h("b", null, count(one.calls)), ` (${percent(one.calls, all)}${pace})`)));
}
