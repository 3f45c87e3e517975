/**
 * One entry of a conversation as an element.
 *
 * @module message
 */

import { element, size, timeElement } from "./dom.js";
import { layOut } from "./json-text.js";

/** @typedef {import("./history.js").Entry} Entry */
/** @typedef {import("./history.js").Chat} Chat */
/** @typedef {import("./history.js").Json} Json */

/** The part of a long message that is shown at first, in characters and in lines. */
const SHORT = 1500;
const FEW_LINES = 40;

/** The part of a long name that is shown, in characters. */
const NAME = 80;

/** Consecutive messages of one sender share a heading if they are at most this many ms apart. */
const TOGETHER = 5 * 60_000;

const COLOURS = 8;

/** @type {Record<NonNullable<Chat["status"]>, [sign: string, word: string]>} */
const STATUS = {
  sending: ["·", "sending"],
  acknowledged: ["✓", "acknowledged"],
  partial: ["✓", "may have reached only a part of the room"],
  refused: ["!", "not sent"],
};

/**
 * @param {Entry} entry
 * @param {Entry | undefined} previous The entry above it.
 * @param {(entry: Chat) => void} retry Sends a refused message again.
 * @returns {HTMLElement}
 */
export function messageElement(entry, previous, retry) {
  if (entry.kind === "notice") return noticeElement(entry);
  const mine = isMine(entry);
  const classes = ["message", entry.kind, mine ? "mine" : "theirs"];
  const continues = continued(entry, previous);
  if (continues) classes.push("continued");
  if (entry.kind === "chat" && entry.status) classes.push(entry.status);
  const item = element("li", { class: classes.join(" ") });
  item.append(continues ? hiddenSenderElement(entry) : senderElement(entry));
  item.append(element("div", { class: "bubble" }, bodyElement(entry), stampElement(entry)));
  if (entry.kind === "chat" && entry.status === "refused") item.append(problemElement(entry, retry));
  if (entry.kind === "chat" && entry.status === "partial") {
    item.append(element("p", { class: "quiet" }, "This message may have reached only some people in the room."));
  }
  return item;
}

/** @param {import("./history.js").NoticeEntry} entry */
function noticeElement(entry) {
  if (entry.isDivider) return element("li", { class: "divider" }, element("p", {}, entry.text));
  const code = entry.code ? [element("code", {}, entry.code), " "] : [];
  const text = element("p", {}, ...code, entry.text);
  return element("li", { class: "notice" }, text, timeElement(entry.time));
}

/** @param {Entry} entry */
function isMine(entry) {
  return entry.kind === "chat" && Boolean(entry.mine);
}

/**
 * @param {Chat | Json} entry
 * @param {Entry | undefined} previous
 */
function continued(entry, previous) {
  if (!previous || entry.time.getTime() - previous.time.getTime() >= TOGETHER) return false;
  if (previous.kind !== "notice" && previous.user !== entry.user) return false;
  if (entry.kind === "json" || previous.kind !== "chat") return previous.kind === entry.kind;
  return previous.name === entry.name && isMine(previous) === isMine(entry);
}

/** @param {Chat | Json} entry */
function nameOf(entry) {
  return entry.kind === "json" ? "JSON" : entry.name.trim().slice(0, NAME) || "(no name)";
}

/**
 * Under an earlier message of the same sender, the name is for screen readers only.
 *
 * @param {Chat | Json} entry
 */
function hiddenSenderElement(entry) {
  const user = entry.user === undefined ? "" : ` (user ${entry.user})`;
  return element("span", { class: "hidden" }, `${nameOf(entry)}${user}:`);
}

/**
 * People choose their names, but the server vouches for the user.
 *
 * @param {Chat | Json} entry
 */
function userElements({ user }) {
  if (user === undefined) return [];
  const title = "Authenticated by the server";
  return [" ", element("span", { class: "user", title }, `user ${user.slice(0, NAME)}`)];
}

/** @param {Chat | Json} entry */
function senderElement(entry) {
  if (entry.kind === "json") {
    const label = element("p", { class: "sender json-label" }, nameOf(entry));
    label.append(...userElements(entry));
    return label;
  }
  const attributes = { class: `sender colour-${hash(entry.name) % COLOURS}`, dir: "auto" };
  const sender = element("p", attributes, nameOf(entry));
  sender.append(...userElements(entry));
  if (entry.mine) sender.append(element("span", { class: "hidden" }, " (you)"));
  return sender;
}

/** @param {Chat | Json} entry */
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
    body.focus({ preventScroll: true }); // because the button that had the focus is removed
    more.remove();
  });
  return element("div", {}, body, more);
}

/** @param {Chat | Json} entry */
function stampElement(entry) {
  const stamp = element("span", { class: "stamp" }, timeElement(entry.time));
  if (entry.kind !== "chat" || !entry.status) return stamp;
  const [sign, word] = STATUS[entry.status];
  stamp.append(
    element("span", { class: "sign", "aria-hidden": "true", title: word }, sign),
    element("span", { class: "hidden" }, ` ${word}`),
  );
  return stamp;
}

/**
 * @param {Chat} entry
 * @param {(entry: Chat) => void} retry
 */
function problemElement(entry, retry) {
  const { code = "", problem = "" } = entry;
  const again = element("button", { type: "button", class: "link", click: () => retry(entry) });
  again.textContent = "Retry";
  return element("p", { class: "problem" }, element("code", {}, code), ` ${problem} `, again);
}

/** @param {string} text */
function hash(text) {
  let value = 0;
  for (const character of text) value = (value * 41 + (character.codePointAt(0) ?? 0)) >>> 0;
  return (value ^ (value >>> 13)) >>> 0;
}
