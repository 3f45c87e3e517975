/**
 * Keyboard shortcuts, and the dialog that lists them.
 *
 * @module shortcuts
 */

import { byId, element } from "./dom.js";
import { singleKeys } from "./storage.js";

/** @type {[keys: string[], what: string][]} */
const LIST = [
  [["Enter"], "Send the message"],
  [["Shift", "Enter"], "New line"],
  [["Alt", "↑"], "Previous room (or with Ctrl)"],
  [["Alt", "↓"], "Next room (or with Ctrl)"],
  [["Esc"], "Leave a field or close a dialog"],
  [["/"], "Find or create a room"],
  [["m"], "Write a message"],
  [["n"], "Jump to the latest message"],
  [["w"], "Show the wire"],
  [["h"], "Show the server's health"],
  [["?"], "Show this list (or Ctrl /)"],
];

const FIELDS = "input, textarea, select, [contenteditable]";

/**
 * @param {{room: (step: number) => void, find: () => void, write: () => void,
 *     newest: () => void, wire: () => void, health: () => void}} actions
 */
export function shortcuts(actions) {
  const dialog = byId("shortcuts", HTMLDialogElement);
  const single = byId("single-keys", HTMLInputElement);
  const help = () => {
    if (!dialog.open) dialog.showModal();
  };
  /** @type {Record<string, () => void>} */
  const keys = {
    "/": actions.find,
    m: actions.write,
    n: actions.newest,
    w: actions.wire,
    h: actions.health,
    "?": help,
  };

  for (const [names, what] of LIST) {
    const combination = names.map((name) => element("kbd", {}, name));
    byId("shortcut-list").append(
      element("div", {}, element("dt", {}, ...combination), element("dd", {}, what)),
    );
  }
  single.checked = singleKeys.get();
  single.addEventListener("change", () => singleKeys.set(single.checked));
  byId("help").addEventListener("click", help);

  /**
   * @param {KeyboardEvent} event
   * @returns {(() => void) | undefined} What the key does, if it is a shortcut here.
   */
  function actionOf({ key, altKey, ctrlKey, metaKey, target }) {
    if (!(target instanceof HTMLElement) || document.querySelector("dialog[open]")) return undefined;
    const step = key === "ArrowUp" ? -1 : key === "ArrowDown" ? 1 : 0;
    const inList = target.closest("select"); // Alt with an arrow key opens it
    if (step && altKey !== ctrlKey && !metaKey && !inList) return () => actions.room(step);
    if (key === "/" && ctrlKey) return help;
    const inField = target.closest(FIELDS);
    if (key === "Escape" && inField) return () => target.blur();
    if (inField || altKey || ctrlKey || metaKey || !single.checked) return undefined;
    return keys[key];
  }

  document.addEventListener("keydown", (event) => {
    const action = actionOf(event);
    if (!action) return;
    event.preventDefault();
    action();
  });
}
