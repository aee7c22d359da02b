"use strict";
// The server's doors. The key stands in a header of each request, never in a cookie: a page of
// another site can have this browser send nothing in its name.

const KEY_PLACE = "potluck.key";
const ASK_TIMEOUT_MS = 20000;

class DoorError extends Error {
  constructor(message, status, retryAfter_s = 0) {
    super(message);
    this.status = status;
    this.retryAfter_s = retryAfter_s;
  }
}

const seen = new Map();
let key = keptKey();

function keptKey() {
  try {
    return sessionStorage.getItem(KEY_PLACE) ?? "";
  } catch {
    return "";
  }
}

function setKey(text) {
  key = text;
  seen.clear();
  try {
    if (text) sessionStorage.setItem(KEY_PLACE, text);
    else sessionStorage.removeItem(KEY_PLACE);
  } catch {
    // Where the browser keeps nothing, the key lives as long as the page
  }
}

async function ask(path, method = "GET") {
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const known = method === "GET" ? seen.get(path) : undefined;
  if (known) headers["If-None-Match"] = known.tag;
  const answer = await reach(path, { method, headers });
  if (answer.status === 304 && known) return known.body;
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw refusalOf(answer, body);
  if (method === "GET" && answer.headers.has("ETag")) {
    seen.set(path, { tag: answer.headers.get("ETag"), body });
  }
  if (body?.at) setClock(body.at);
  return body;
}

async function reach(path, request) {
  try {
    // Nothing of it is left on disk when the tab is closed
    return await fetch(path, { ...request, cache: "no-store", signal: AbortSignal.timeout(ASK_TIMEOUT_MS) });
  } catch {
    throw new DoorError("The server does not answer. Is `potluck serve` running?", 0);
  }
}

function refusalOf(answer, body) {
  const said = body?.detail ?? body?.error?.message ?? body?.message;
  const text = typeof said === "string" ? said : `The server answers ${answer.status}.`;
  return new DoorError(text, answer.status, Number(answer.headers.get("Retry-After")) || 0);
}
