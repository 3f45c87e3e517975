/**
 * The list of rooms, with the field that finds or creates one.
 *
 * @module room-list
 */

import { byId, count, element, say } from "./dom.js";

/** Rooms in the document at most; the field finds the others. */
const SHOWN = 200;

/** The name of a room as the part of an address behind "#". */
export function hashOf(name) {
  return `#${encodeURIComponent(name)}`;
}

export class RoomList {
  #field = byId("find-text");
  #problem = byId("find-problem");
  #create = byId("find-create");
  #lists = byId("room-lists");
  #rooms;
  #isOpen;
  #shown = "";

  /**
   * @param {import("./rooms.js").Rooms} rooms
   * @param {(name: string) => boolean} isOpen
   * @param {{open: (name: string) => void, create: (name: string) => Promise<void>}} actions
   */
  constructor(rooms, isOpen, { open, create }) {
    this.#rooms = rooms;
    this.#isOpen = isOpen;
    this.#field.addEventListener("input", () => {
      say(this.#problem, "");
      this.draw();
    });
    byId("find").addEventListener("submit", async (event) => {
      event.preventDefault();
      const name = this.#field.value.trim();
      if (!name) return;
      try {
        if (!this.#exists(name)) await create(name);
      } catch (error) {
        say(this.#problem, error.message);
        return;
      }
      this.#field.value = "";
      say(this.#problem, "");
      this.draw();
      open(name);
    });
  }

  /** Draw the list, if anything in it has changed: the focus may be on one of its links. */
  draw() {
    const wanted = this.#field.value.trim();
    this.#create.hidden = !wanted || this.#exists(wanted);
    const { topics, joined } = this.#rooms;
    const matches = (name) => name.toLowerCase().includes(wanted.toLowerCase());
    const mine = [...joined.keys()].filter(matches).sort();
    const others = [...(topics?.keys() ?? [])].filter((name) => !joined.has(name) && matches(name));
    const rows = (names) => names.slice(0, SHOWN).map((name) => this.#row(name));
    const state = JSON.stringify([wanted, others.length, rows(mine), rows(others), topics !== null]);
    if (state === this.#shown) return;
    this.#shown = state;
    this.#replace(rows(mine), rows(others), others.length, wanted);
  }

  #exists(name) {
    return Boolean(this.#rooms.topics?.has(name));
  }

  #row(name) {
    const room = this.#rooms.joined.get(name);
    return {
      name,
      subscribers: this.#rooms.topics?.get(name) ?? 0,
      unread: room?.unread ?? 0,
      gone: room?.state === "gone",
      open: this.#isOpen(name),
    };
  }

  #replace(mine, others, total, wanted) {
    const focused = document.activeElement?.closest?.("#room-lists a")?.getAttribute("href");
    this.#lists.replaceChildren();
    if (mine.length) this.#section("Joined", mine);
    if (others.length) this.#section(mine.length ? "Others" : "", others);
    if (total > SHOWN) this.#hint(`${count(total - SHOWN, "more room")}: type to find one.`);
    if (!mine.length && !others.length) this.#hint(this.#emptyHint(wanted));
    for (const link of this.#lists.querySelectorAll("a")) {
      if (link.getAttribute("href") === focused) link.focus({ preventScroll: true });
    }
  }

  #emptyHint(wanted) {
    if (wanted) return "No room has this in its name.";
    return this.#rooms.topics ? "There are no rooms yet." : "Asking the server…";
  }

  #hint(sentence) {
    this.#lists.append(element("p", { class: "quiet hint" }, sentence));
  }

  #section(title, rows) {
    if (title) this.#lists.append(element("h3", {}, title));
    this.#lists.append(element("ul", {}, ...rows.map(itemOf)));
  }
}

function itemOf({ name, subscribers, unread, gone, open }) {
  const label = element("span", { class: "room-name", dir: "auto" }, name);
  const link = element("a", { href: hashOf(name), class: "room-link", title: name }, label);
  if (open) link.setAttribute("aria-current", "true");
  if (gone) link.classList.add("is-gone");
  if (unread) {
    const text = unread > 999 ? "999+" : String(unread);
    const badge = element("span", { class: "badge" }, text);
    badge.append(element("span", { class: "hidden" }, " unread"));
    link.append(badge);
  }
  const words = gone ? "gone" : subscribers.toLocaleString("en");
  const figure = element("span", { class: "subscribers" }, words);
  if (!gone) figure.append(element("span", { class: "hidden" }, ` ${subscribers === 1 ? "subscriber" : "subscribers"}`));
  link.append(figure);
  return element("li", {}, link);
}
