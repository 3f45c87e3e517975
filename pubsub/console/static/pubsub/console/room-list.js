/**
 * The list of rooms, and the field that finds or creates one.
 *
 * @module room-list
 */

import { byId, count, element, messageOf, showMessage } from "./dom.js";

/** The maximum number of rooms in the document; the field finds or opens the others. */
const SHOWN = 200;

/**
 * Return the fragment of the URL that opens a room.
 *
 * @param {string} name
 */
export function hashOf(name) {
  return `#${encodeURIComponent(name)}`;
}

/** One room in the list. Its element stays the same while its figures change under the pointer. */
class Item {
  #badge = element("span", { class: "badge" });
  #unread = document.createTextNode("");
  #figure = document.createTextNode("");
  #noun = document.createTextNode("");

  /** @param {string} name */
  constructor(name) {
    this.name = name;
    this.#badge.append(this.#unread, element("span", { class: "hidden" }, " unread"));
    const noun = element("span", { class: "hidden" }, this.#noun);
    this.link = element(
      "a",
      { href: hashOf(name), class: "room-link", title: name },
      element("span", { class: "room-name", dir: "auto" }, name),
      this.#badge,
      element("span", { class: "subscribers" }, this.#figure, noun),
    );
    this.node = element("li", {}, this.link);
  }

  /**
   * @param {object} figures
   * @param {boolean} figures.isOpen
   * @param {boolean} figures.isGone
   * @param {number} figures.unread
   * @param {number} figures.subscribers
   */
  update({ isOpen, isGone, unread, subscribers }) {
    if (isOpen) this.link.setAttribute("aria-current", "true");
    else this.link.removeAttribute("aria-current");
    this.link.classList.toggle("is-gone", isGone);
    this.#badge.hidden = !unread;
    write(this.#unread, unread > 999 ? "999+" : String(unread));
    write(this.#figure, isGone ? "deleted" : subscribers.toLocaleString("en"));
    write(this.#noun, isGone ? "" : subscribers === 1 ? " subscriber" : " subscribers");
  }
}

/** A part of the list: its heading, and a link for each of its rooms. */
class Section {
  /** @type {Map<string, Item>} In the order of the document. */ #items = new Map();

  /** @param {string} title */
  constructor(title) {
    this.heading = element("h3", {}, title);
    this.list = element("ul");
  }

  /**
   * Show these rooms, up to the maximum number.
   *
   * @param {string[]} names In order.
   * @param {(item: Item) => void} update
   */
  fill(names, update) {
    /** @type {Map<string, Item>} */
    const items = new Map();
    for (const name of names.slice(0, SHOWN)) {
      const item = this.#items.get(name) ?? new Item(name);
      update(item);
      items.set(name, item);
    }
    for (const [name, { node }] of this.#items) if (!items.has(name)) node.remove();
    let next = this.list.firstElementChild; // the remaining elements are in the same order
    for (const { node } of items.values()) {
      if (node === next) next = next.nextElementSibling;
      else this.list.insertBefore(node, next);
    }
    this.#items = items;
  }

  /** @returns {string[]} The rooms that are shown, from top to bottom. */
  get names() {
    return [...this.#items.keys()];
  }
}

export class RoomList {
  #field = byId("find-text", HTMLInputElement);
  #problem = byId("find-problem");
  #create = byId("find-create");
  #options = byId("find-options", HTMLDetailsElement);
  #history = byId("find-history", HTMLInputElement);
  #presence = byId("find-presence", HTMLInputElement);
  #joined = new Section("Joined");
  #others = new Section("Others");
  #hint = element("p", { class: "quiet hint" });
  #rooms;
  #isOpen;

  /**
   * @param {import("./rooms.js").Rooms} rooms
   * @param {(name: string) => boolean} isOpen
   * @param {object} actions
   * @param {(name: string) => void} actions.open
   * @param {(name: string, options: import("./rest.js").TopicOptions) => Promise<void>}
   *     actions.create
   */
  constructor(rooms, isOpen, { open, create }) {
    this.#rooms = rooms;
    this.#isOpen = isOpen;
    const lists = byId("room-lists");
    for (const { heading, list } of [this.#joined, this.#others]) lists.append(heading, list);
    lists.append(this.#hint);
    lists.addEventListener("click", ({ target }) => {
      const link = target instanceof Element ? target.closest("a") : null;
      // The open room may be hidden by another view, and its link does not change the URL.
      if (link && isOpen(link.title)) open(link.title);
    });
    this.#field.addEventListener("input", () => {
      showMessage(this.#problem, "");
      this.draw();
    });
    byId("find").addEventListener("submit", async (event) => {
      event.preventDefault();
      const name = this.#field.value.trim();
      if (!name) return;
      try {
        if (!this.#exists(name)) await create(name, this.#chosenOptions());
      } catch (error) {
        showMessage(this.#problem, messageOf(error));
        return;
      }
      this.#reset();
      open(name);
    });
  }

  /** Return the options that the user has chosen for a new room. */
  #chosenOptions() {
    /** @type {import("./rest.js").TopicOptions} */
    const options = {};
    if (this.#history.value) options.history = this.#history.valueAsNumber;
    if (this.#presence.checked) options.presence = true;
    return options;
  }

  #reset() {
    this.#field.value = this.#history.value = "";
    this.#presence.checked = this.#options.open = false;
    showMessage(this.#problem, "");
    this.draw();
  }

  /** @returns {string[]} The rooms that are shown, from top to bottom. */
  get names() {
    return [...this.#joined.names, ...this.#others.names];
  }

  draw() {
    const wanted = this.#field.value.trim();
    this.#create.hidden = this.#options.hidden = !wanted || this.#exists(wanted);
    const { topics, joined } = this.#rooms;
    /** @param {string} name */
    const matches = (name) => name.toLowerCase().includes(wanted.toLowerCase());
    const mine = [...joined.keys()].filter(matches).sort();
    const others = [...(topics?.keys() ?? [])]
      .filter((name) => !joined.has(name) && matches(name))
      .sort();
    this.#joined.fill(mine, (item) => this.#update(item));
    this.#others.fill(others, (item) => this.#update(item));
    this.#joined.heading.hidden = !mine.length;
    this.#others.heading.hidden = !mine.length || !others.length;
    const more = Math.max(0, others.length - SHOWN) + this.#rooms.unlisted;
    const hint = this.#hintFor(mine.length + others.length, more, wanted);
    showMessage(this.#hint, hint);
  }

  /** @param {string} name */
  #exists(name) {
    return Boolean(this.#rooms.topics?.has(name));
  }

  /** @param {Item} item */
  #update(item) {
    const { name } = item;
    const room = this.#rooms.joined.get(name);
    item.update({
      isOpen: this.#isOpen(name),
      isGone: room?.state === "gone",
      unread: room?.unread ?? 0,
      subscribers: this.#rooms.topics?.get(name) ?? 0,
    });
  }

  /**
   * @param {number} matching How many rooms match.
   * @param {number} more How many of them are not shown.
   * @param {string} wanted The text in the field.
   */
  #hintFor(matching, more, wanted) {
    if (more > 0) return `${count(more, "more room")}. Type to find one.`;
    if (matching) return "";
    if (wanted) return "No room matches.";
    if (this.#rooms.isLocked) return "Sign in to see the rooms.";
    return this.#rooms.topics ? "No rooms yet" : "Loading…";
  }
}

/**
 * Write a text only if it has changed, because writing the same text again still causes a layout.
 *
 * @param {Text} node
 * @param {string} text
 */
function write(node, text) {
  if (node.data !== text) node.data = text;
}
