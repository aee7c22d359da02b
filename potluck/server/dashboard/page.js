"use strict";
// Reads the reports every few seconds while somebody looks, and shows them.

const EVERY_MS = 5000;
const SLOWEST_MS = 60000;
// So long at least a refusal stands, whatever else comes in
const TOLD_MS = 15000;
const REPORT = "quota?days=30";
const HOURS = "quota/hours?hours=24";

const state = { report: null, hours: null, span: "hours", paused: false, failures: 0, timer: 0, turn: 0, toldUntil: 0 };

async function update() {
  clearTimeout(state.timer);
  const turn = ++state.turn;
  try {
    const [report, hours] = await Promise.all([ask(REPORT), ask(HOURS)]);
    if (turn !== state.turn) return;
    Object.assign(state, { report, hours, failures: 0 });
    showBoard();
  } catch (error) {
    if (turn !== state.turn) return;
    if (!(error instanceof DoorError)) throw error;
    state.failures += 1;
    if (error.status === 401) return showLogin(wrongKeyWords());
    // A known key that may not look, such as one for the metrics alone
    if (error.status === 403 && key) return showLogin(error.message);
    showTrouble(error);
    return later(Math.max(error.retryAfter_s * 1000, Math.min(SLOWEST_MS, EVERY_MS * 2 ** (state.failures - 1))));
  }
  later(EVERY_MS);
}

function later(wait_ms) {
  clearTimeout(state.timer);
  if (!state.paused && !document.hidden) state.timer = setTimeout(update, wait_ms);
}

function wrongKeyWords() {
  if (!key) return "";
  const hint = key.includes(":") ? " Of name:secret it is the secret alone." : "";
  return `The server does not know this key.${hint}`;
}

function showBoard() {
  $("login").hidden = true;
  if (Date.now() >= state.toldUntil) $("trouble").hidden = true;
  $("board").hidden = false;
  $("board").classList.remove("stale");
  $("pause").hidden = false;
  $("leave").hidden = !key;
  draw();
  showFreshness();
}

function draw() {
  const { report, hours, span } = state;
  showVerdict(report);
  showOff(report);
  showToday(report);
  showParked(report);
  showFaults(report, hours);
  setText($("calls-title"), areOwn(hours) ? "Your calls" : "Calls");
  showChart(span, report, hours);
  showAnswers(span, report, hours);
  showProviders(report);
}

function showFreshness() {
  const time = new Date().toLocaleTimeString("en-GB");
  setText($("freshness"), state.paused ? `Paused at ${time}` : `Live, ${time}`);
}

function showTrouble(error) {
  const kept = state.report ? " The figures are the last ones known." : "";
  state.toldUntil = 0;
  setText($("trouble"), `${error.message}${kept} Trying again.`);
  $("trouble").hidden = false;
  $("board").classList.toggle("stale", state.report !== null);
  setText($("freshness"), "Not up to date");
}

function showLogin(fault) {
  clearTimeout(state.timer);
  Object.assign(state, { report: null, hours: null, failures: 0 });
  for (const id of ["board", "trouble", "pause", "leave"]) $(id).hidden = true;
  // What a key has shown goes with it
  for (const id of ["tiles", "parked", "faults", "chart", "answers", "providers", "off", "start-body"]) $(id).replaceChildren();
  for (const id of ["verdict", "freshness"]) setText($(id), "");
  document.title = "Potluck";
  setText($("login-fault"), fault);
  $("login").hidden = false;
  $("key").focus();
}

function logIn(event) {
  event.preventDefault();
  const given = $("key").value.trim();
  if (!/^[!-~]+$/.test(given)) {
    setText($("login-fault"), "A key is made of letters, digits and signs, without spaces.");
    return;
  }
  // POTLUCK_API_KEYS holds name:secret; the secret alone is the key
  $("key").value = "";
  setKey(given);
  update();
}

function leave() {
  state.turn += 1;
  setKey("");
  showLogin("");
}

function pause() {
  state.paused = !state.paused;
  $("pause").setAttribute("aria-pressed", String(state.paused));
  if (state.paused) {
    clearTimeout(state.timer);
    showFreshness();
  } else update();
}

async function act(button) {
  const { act: what, thread } = button.dataset;
  if (what === "cancel" && !(await isSure(thread))) return;
  button.disabled = true;
  try {
    setText($("said"), await (what === "cancel" ? cancelParked : resumeParked)(thread));
    state.toldUntil = 0;
  } catch (error) {
    if (!(error instanceof DoorError)) throw error;
    state.toldUntil = Date.now() + TOLD_MS;
    setText($("trouble"), error.message);
    $("trouble").hidden = false;
  }
  await update();
  button.disabled = false;
  // Where the button was, there may be nothing any more; one that was out of use has lost the focus
  if (button.isConnected && !button.closest("[hidden]")) button.focus();
  else if ($("login").hidden) ($("parked-section").hidden ? $("main") : $("parked-title")).focus();
}

function choose(at) {
  if (at === chosen || !state.report) return;
  chosen = at;
  showChart(state.span, state.report, state.hours);
}

$("login").addEventListener("submit", logIn);
$("leave").addEventListener("click", leave);
$("pause").addEventListener("click", pause);
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-act]");
  if (button) act(button);
});
document.addEventListener("change", (event) => {
  if (event.target.name !== "span" || !state.report) return;
  state.span = event.target.value;
  chosen = null;
  draw();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(state.timer);
  else if (!state.paused && $("login").hidden) update();
});
$("chart").addEventListener("pointermove", (event) => {
  if (event.target.closest("#plot")) choose(columnAt(event.clientX));
});
$("chart").addEventListener("pointerdown", (event) => {
  if (event.target.closest("#plot")) choose(columnAt(event.clientX));
});
$("chart").addEventListener("pointerleave", () => choose(null));
$("chart").addEventListener("keydown", (event) => {
  const at = event.target.id === "plot" ? columnByKey(event.key) : null;
  if (at === null) return;
  event.preventDefault();
  choose(at);
});
new ResizeObserver(() => {
  if (state.report) showChart(state.span, state.report, state.hours);
}).observe($("chart"));
update();
