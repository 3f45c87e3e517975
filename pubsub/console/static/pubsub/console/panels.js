/**
 * What is shown beside what: tabs for the instruments, and on narrow screens one part at a time.
 *
 * @module panels
 */

import { byId } from "./dom.js";

const TABS = ["wire", "health"];

/** Where the rooms are always in view. */
const wide = matchMedia("(min-width: 700px)");

/**
 * @param {() => void} onShow Called when another part has come into view.
 * @returns {(view: "rooms" | "chat" | "wire" | "health") => void} Shows a part, where not all of
 *     them are shown anyway.
 */
export function panels(onShow) {
  const buttons = document.querySelectorAll(".views button");

  function select(tab) {
    for (const name of TABS) {
      const button = byId(`tab-${name}`);
      button.setAttribute("aria-selected", String(name === tab));
      button.tabIndex = name === tab ? 0 : -1;
      byId(name).hidden = name !== tab;
    }
  }

  function show(view) {
    document.body.dataset.view = view;
    if (TABS.includes(view)) select(view);
    const current = view === "rooms" && wide.matches ? "chat" : view;
    for (const button of buttons) {
      if (button.dataset.view === current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    onShow();
  }

  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.view));
  for (const name of TABS) byId(`tab-${name}`).addEventListener("click", () => show(name));
  byId("instruments").firstElementChild.addEventListener("keydown", ({ key }) => {
    if (key !== "ArrowLeft" && key !== "ArrowRight") return;
    const other = byId("wire").hidden ? "wire" : "health";
    show(other);
    byId(`tab-${other}`).focus();
  });
  return show;
}
