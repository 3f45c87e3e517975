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
  #headings = { joined: element("h3", {}, "Joined"), others: element("h3", {}, "Others") };
  #joined = element("ul");
  #others = element("ul");
  #hint = element("p", { class: "quiet hint" });
  #rooms;
  #isOpen;

  /**
   * @param {import("./rooms.js").Rooms} rooms
   * @param {(name: string) => boolean} isOpen
   * @param {{open: (name: string) => void, create: (name: string) => Promise<void>}} actions
   */
  constructor(rooms, isOpen, { open, create }) {
    this.#rooms = rooms;
    this.#isOpen = isOpen;
    const lists = byId("room-lists");
    const { joined, others } = this.#headings;
    lists.append(joined, this.#joined, others, this.#others, this.#hint);
    lists.addEventListener("click", ({ target }) => {
      const name = target.closest("a")?.title;
      if (isOpen(name)) open(name); // it may be out of view, and its address is no news
    });
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

  /** Draw the list. Links stay the same elements while figures change under the pointer. */
  draw() {
    const wanted = this.#field.value.trim();
    this.#create.hidden = !wanted || this.#exists(wanted);
    const { topics, joined } = this.#rooms;
    const matches = (name) => name.toLowerCase().includes(wanted.toLowerCase());
    const mine = [...joined.keys()].filter(matches).sort();
    const isOther = (name) => !joined.has(name) && matches(name);
    const others = [...(topics?.keys() ?? [])].filter(isOther).sort();
    this.#fill(this.#joined, mine);
    this.#fill(this.#others, others);
    this.#headings.joined.hidden = !mine.length;
    this.#headings.others.hidden = !mine.length || !others.length;
    say(this.#hint, this.#hintFor(mine.length + others.length, others.length - SHOWN, wanted));
  }

  #fill(list, names) {
    const shown = new Set(names.slice(0, SHOWN));
    for (const item of [...list.children]) if (!shown.has(item.firstChild.title)) item.remove();
    let next = list.firstChild; // what is left is in the same order
    for (const name of shown) {
      const known = next?.firstChild.title === name;
      const item = known ? next : itemOf(name);
      this.#update(item.firstChild);
      if (known) next = next.nextSibling;
      else list.insertBefore(item, next);
    }
  }

  #exists(name) {
    return Boolean(this.#rooms.topics?.has(name));
  }

  #update(link) {
    const name = link.title;
    const room = this.#rooms.joined.get(name);
    const gone = room?.state === "gone";
    const unread = room?.unread ?? 0;
    const subscribers = this.#rooms.topics?.get(name) ?? 0;
    const [, badge, figure] = link.children;
    if (this.#isOpen(name)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    link.classList.toggle("is-gone", gone);
    badge.hidden = !unread;
    write(badge.firstChild, unread > 999 ? "999+" : String(unread));
    write(figure.firstChild, gone ? "gone" : subscribers.toLocaleString("en"));
    write(figure.lastChild.firstChild, gone ? "" : subscribers === 1 ? " subscriber" : " subscribers");
  }

  #hintFor(shown, more, wanted) {
    if (more > 0) return `${count(more, "more room")}: type to find one.`;
    if (shown) return "";
    if (wanted) return "No room has this in its name.";
    return this.#rooms.topics ? "There are no rooms yet." : "Asking the server…";
  }
}

/** Write a text that has changed; to write the same again would have it laid out again. */
function write(node, text) {
  if (node.data !== text) node.data = text;
}

function itemOf(name) {
  const figure = (text) => [document.createTextNode(""), element("span", { class: "hidden" }, text)];
  const link = element(
    "a",
    { href: hashOf(name), class: "room-link", title: name },
    element("span", { class: "room-name", dir: "auto" }, name),
    element("span", { class: "badge" }, ...figure(" unread")),
    element("span", { class: "subscribers" }, ...figure(" ")),
  );
  return element("li", {}, link);
}
