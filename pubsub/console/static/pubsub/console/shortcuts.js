/**
 * Keyboard shortcuts and the list of them.
 *
 * @module shortcuts
 */

import { byId, element } from "./dom.js";
import { singleKeys } from "./storage.js";

const LIST = [
  [["Enter"], "Send the message"],
  [["Shift", "Enter"], "New line"],
  [["Alt", "↑"], "Room above (also with Ctrl)"],
  [["Alt", "↓"], "Room below (also with Ctrl)"],
  [["Esc"], "Leave a field, close a dialog"],
  [["/"], "Find or create a room"],
  [["m"], "Write a message"],
  [["n"], "Go to the newest message"],
  [["w"], "Wire"],
  [["h"], "Health"],
  [["?"], "This list (also with Ctrl /)"],
];

const FIELDS = "input, textarea, select, [contenteditable]";

/**
 * @param {{room: (step: number) => void, find: () => void, write: () => void,
 *     newest: () => void, wire: () => void, health: () => void}} actions
 */
export function shortcuts(actions) {
  const dialog = byId("shortcuts");
  const single = byId("single-keys");
  const help = () => dialog.open || dialog.showModal();
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

  function onKey(event) {
    const { key, altKey, ctrlKey, metaKey, target } = event;
    if (document.querySelector("dialog[open]")) return false;
    const step = { ArrowUp: -1, ArrowDown: 1 }[key];
    const inList = target.closest("select"); // which Alt and an arrow open
    if (step && altKey !== ctrlKey && !metaKey && !inList) return run(() => actions.room(step));
    if (key === "/" && ctrlKey) return run(help);
    const inField = target.closest(FIELDS);
    if (key === "Escape" && inField) return run(() => target.blur());
    if (inField || altKey || ctrlKey || metaKey || !single.checked || !(key in keys)) return false;
    return run(keys[key]);
  }

  function run(action) {
    action();
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (onKey(event)) event.preventDefault();
  });
}
