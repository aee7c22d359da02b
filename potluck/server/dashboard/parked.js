"use strict";
// Runs that wait for quota: try one at once, or give it up.

function showParked(report) {
  $("parked-section").hidden = !report.parked.length;
  show($("parked"), h("ul", { class: "items" }, report.parked.map(parkedItem)));
}

function parkedItem(run) {
  const waits = run.waiting_for.slice(0, 3).join(", ");
  const more = run.waiting_for.length > 3 ? ` and ${run.waiting_for.length - 3} more` : "";
  return h("li", { "data-key": run.thread_id },
    h("div", { class: "head" }, h("b", null, `Goes on ${until(run.resume_at)}`),
      h("span", { class: "quiet" }, `${moment(run.resume_at)}; waiting since ${moment(run.since)}, ${run.priority}${run.times > 1 ? `, put off ${run.times} times` : ""}`)),
    h("div", null, run.reason),
    waits ? h("div", { class: "quiet" }, `Waits for ${waits}${more}.`) : null,
    h("div", { class: "quiet" }, "Thread ", h("code", null, run.thread_id)),
    h("div", { class: "row" },
      h("button", { type: "button", "data-act": "resume", "data-thread": run.thread_id, "aria-label": `Try thread ${run.thread_id} now` }, "Try now"),
      h("button", { type: "button", "data-act": "cancel", "data-thread": run.thread_id, "aria-label": `Give thread ${run.thread_id} up` }, "Give up")));
}

function pathOf(thread) {
  return `quota/parked/${encodeURIComponent(thread)}`;
}

async function resumeParked(thread) {
  await ask(`${pathOf(thread)}/resume`, "POST");
  return "The run goes on. It is parked again if there is still no quota.";
}

async function cancelParked(thread) {
  await ask(pathOf(thread), "DELETE");
  return "The run was given up.";
}

function isSure(thread) {
  setText($("sure-text"), `What thread ${thread} was doing stays undone; the thread itself stays, and can be used again.`);
  $("sure").showModal();
  return new Promise((resolve) => {
    const answer = (sure) => () => {
      $("sure").close();
      resolve(sure);
    };
    $("sure-yes").onclick = answer(true);
    $("sure-no").onclick = answer(false);
    $("sure").oncancel = () => resolve(false);
  });
}
