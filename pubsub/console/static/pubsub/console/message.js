/**
 * One entry of a conversation as an element.
 *
 * @module message
 */

import { element, size, timeElement } from "./dom.js";
import { layOut } from "./json-text.js";

/** Characters of a message that are shown before somebody asks for the rest. */
const SHORT = 1500;
const FEW_LINES = 40;

/** Characters of a name that are shown. */
const NAME = 80;

/** Messages of one sender within this many milliseconds stand under one name. */
const TOGETHER = 5 * 60_000;

const COLOURS = 8;

/**
 * @param {import("./history.js").Entry} entry
 * @param {import("./history.js").Entry | undefined} previous The one above it.
 * @param {(entry: import("./history.js").Entry) => void} retry Sends a refused message again.
 * @returns {HTMLElement}
 */
export function messageElement(entry, previous, retry) {
  if (entry.kind === "notice") return noticeElement(entry);
  const classes = ["message", entry.kind, entry.mine ? "mine" : "theirs"];
  const continues = continued(entry, previous);
  if (continues) classes.push("continued");
  if (entry.status) classes.push(entry.status);
  const item = element("li", { class: classes.join(" ") });
  item.append(continues ? hiddenSenderElement(entry) : senderElement(entry));
  const bubble = element("div", { class: "bubble" }, bodyElement(entry), stampElement(entry));
  item.append(bubble);
  if (entry.status === "refused") item.append(problemElement(entry, retry));
  return item;
}

function noticeElement(entry) {
  const code = entry.code ? [element("code", {}, entry.code), " "] : [];
  const sentence = element("p", {}, ...code, entry.text);
  return element("li", { class: "notice" }, sentence, timeElement(entry.time));
}

function continued(entry, previous) {
  return (
    previous?.kind === entry.kind &&
    previous.name === entry.name &&
    Boolean(previous.mine) === Boolean(entry.mine) &&
    entry.time - previous.time < TOGETHER
  );
}

function nameOf(entry) {
  return entry.kind === "json" ? "JSON" : entry.name.trim().slice(0, NAME) || "(no name)";
}

/** Under another message of the same sender: for those who cannot see that. */
function hiddenSenderElement(entry) {
  return element("span", { class: "hidden" }, `${nameOf(entry)}:`);
}

function senderElement(entry) {
  if (entry.kind === "json") return element("p", { class: "sender json-label" }, nameOf(entry));
  const attributes = { class: `sender colour-${hash(entry.name) % COLOURS}`, dir: "auto" };
  const sender = element("p", attributes, nameOf(entry));
  if (entry.mine) sender.append(element("span", { class: "hidden" }, " (you)"));
  return sender;
}

function bodyElement(entry) {
  const isChat = entry.kind === "chat";
  const text = isChat ? entry.text : layOut(entry.text, SHORT);
  const beginning = text.slice(0, SHORT).split("\n", FEW_LINES).join("\n");
  const body = element(isChat ? "p" : "pre", { class: "text", dir: isChat ? "auto" : "ltr" });
  if (beginning.length === text.length) {
    body.textContent = text;
    return body;
  }
  body.textContent = `${beginning}…`;
  const more = element("button", { type: "button", class: "link more" });
  more.textContent = `Show all ${size(entry.text.length)}`;
  more.addEventListener("click", () => {
    body.textContent = isChat ? entry.text : layOut(entry.text);
    body.tabIndex = -1;
    body.focus({ preventScroll: true }); // the button goes
    more.remove();
  });
  return element("div", {}, body, more);
}

function stampElement(entry) {
  const stamp = element("span", { class: "stamp" }, timeElement(entry.time));
  const signs = { sending: ["·", "sending"], acknowledged: ["✓", "acknowledged"], refused: ["!", "refused"] };
  if (!entry.status) return stamp;
  const [sign, word] = signs[entry.status];
  stamp.append(
    element("span", { class: "sign", "aria-hidden": "true", title: word }, sign),
    element("span", { class: "hidden" }, ` ${word}`),
  );
  return stamp;
}

function problemElement(entry, retry) {
  const again = element("button", { type: "button", class: "link", click: () => retry(entry) }, "Retry");
  const code = element("code", {}, entry.code);
  return element("p", { class: "problem" }, code, ` ${entry.problem} `, again);
}

function hash(text) {
  let value = 0;
  for (const character of text) value = (value * 41 + character.codePointAt(0)) >>> 0;
  return (value ^ (value >>> 13)) >>> 0;
}
