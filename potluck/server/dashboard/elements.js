"use strict";
// Elements are made anew at each update and then laid over those on the page, so that focus, text
// selection and what is unfolded stay. Text is always set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

function $(id) {
  return document.getElementById(id);
}

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "share") element.style.setProperty("--share", value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

function h(name, attributes, ...children) {
  return make(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
  return make(document.createElementNS(SVG, name), attributes, children);
}

function show(place, ...children) {
  const fresh = place.cloneNode(false);
  fresh.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  layChildren(place, fresh);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function lay(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const name of old.getAttributeNames()) {
    // What the reader has unfolded, and what is being done
    if (name === "open" || name === "disabled" || name === "style") continue;
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  layChildren(old, fresh);
}

function layChildren(old, fresh) {
  const keyed = new Map([...old.children].filter((c) => c.dataset?.key).map((c) => [c.dataset.key, c]));
  let next = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = wanted.dataset?.key;
    const known = key ? keyed.get(key) : isLike(next, wanted) ? next : null;
    if (!known) {
      old.insertBefore(wanted, next);
      continue;
    }
    if (known === next) next = next.nextSibling;
    else old.insertBefore(known, next);
    lay(known, wanted);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

function isLike(node, wanted) {
  return node && node.nodeName === wanted.nodeName && !node.dataset?.key;
}

function outLink(address, text) {
  // The catalog is the user's own file, but a link runs nothing
  return /^https?:\/\//.test(address)
    ? h("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, text)
    : text;
}
