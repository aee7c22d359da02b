"use strict";
// Figures and times in words.

const UNITS = {
  requests: "requests", tokens: "tokens", input_tokens: "tokens in", output_tokens: "tokens out",
  credits: "credits", concurrent: "calls at once",
};
const PERIODS = { minute: " a minute", hour: " an hour", day: " a day", month: " a month", call: "" };
const OUTCOMES = [
  ["answered", "answered"], ["cached", "from the cache"], ["cancelled", "cancelled"],
  ["refused", "held back"], ["failed", "failed"],
];
const KINDS = {
  minute: "limit of a minute reached", day: "limit of a day reached", month: "limit of a month reached",
  credits: "credits used up", concurrency: "too many calls at once", auth: "key refused",
  model_gone: "model is gone", too_large: "request too large", bad_tool_call: "broken tool call",
  content_filter: "content filter", empty: "empty answer", overload: "provider overloaded",
  network: "not reached", timeout: "took too long", caller: "request refused", unknown: "unknown error",
};

// The server's clock less this browser's.
let clockOffset_ms = 0;

function now_ms() {
  return Date.now() + clockOffset_ms;
}

function setClock(at) {
  clockOffset_ms = Date.parse(at) - Date.now();
}

function count(number) {
  const digits = Math.abs(number) < 10 && !Number.isInteger(number) ? 1 : 0;
  return number.toLocaleString("en", { maximumFractionDigits: digits });
}

function short(number) {
  return number < 10000 ? count(number)
    : number.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 });
}

function several(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

function dollars(amount) {
  if (amount > 0 && amount < 0.01) return "under $0.01";
  return `$${amount.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function percent(part, whole) {
  const share = whole > 0 ? (100 * part) / whole : 0;
  return share > 0 && share < 1 ? "under 1%" : `${Math.round(share)}%`;
}

function lasting(span_ms) {
  const minutes = Math.round(span_ms / 60000);
  if (span_ms < 90000) return `${Math.max(1, Math.round(span_ms / 1000))} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

function until(at) {
  const left_ms = Date.parse(at) - now_ms();
  return left_ms <= 0 ? "now" : `in ${lasting(left_ms)}`;
}

function ago(at) {
  const past_ms = now_ms() - Date.parse(at);
  return past_ms < 5000 ? "just now" : `${lasting(past_ms)} ago`;
}

function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

// With its day, unless that is today
function moment(at) {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date(now_ms()).toDateString();
  return isToday ? clock(at) : `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${clock(at)}`;
}

function day(date) {
  return new Date(`${date}T00:00:00Z`)
    .toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
}

function kindOf(kind) {
  return KINDS[kind] ?? kind;
}
