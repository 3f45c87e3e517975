/**
 * Which parts of the page are visible: one tab of the instruments, and in narrow windows one part
 * at a time.
 *
 * @module panels
 */

import { byId } from "./dom.js";

/** @typedef {"rooms" | "chat" | "wire" | "health"} View */
/** @type {("wire" | "health")[]} */
const TABS = ["wire", "health"];

/** Whether the list of rooms is always visible; the style sheets use the same width. */
const wide = matchMedia("(min-width: 700px)");

/**
 * @param {() => void} onShow Called whenever another part becomes visible.
 * @returns {(view: View) => void} Shows a part; it does nothing where all parts are visible.
 */
export function panels(onShow) {
  /** @type {NodeListOf<HTMLButtonElement>} */
  const buttons = document.querySelectorAll(".views button");

  /** @param {View} tab */
  function select(tab) {
    for (const name of TABS) {
      const button = byId(`tab-${name}`);
      button.setAttribute("aria-selected", String(name === tab));
      button.tabIndex = name === tab ? 0 : -1;
      byId(name).hidden = name !== tab;
    }
  }

  /** @param {View} view */
  function show(view) {
    document.body.dataset.view = view;
    if (view === "wire" || view === "health") select(view);
    const current = view === "rooms" && wide.matches ? "chat" : view;
    for (const button of buttons) {
      if (button.dataset.view === current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    onShow();
  }

  for (const button of buttons) {
    button.addEventListener("click", () => show(/** @type {View} */ (button.dataset.view)));
  }
  for (const name of TABS) byId(`tab-${name}`).addEventListener("click", () => show(name));
  byId("tabs").addEventListener("keydown", ({ key }) => {
    if (key !== "ArrowLeft" && key !== "ArrowRight") return;
    const other = byId("wire").hidden ? "wire" : "health";
    show(other);
    byId(`tab-${other}`).focus();
  });
  return show;
}
