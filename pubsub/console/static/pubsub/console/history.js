/**
 * The messages and notices of one room, bounded by number and by size.
 *
 * @module history
 */

import { member } from "./chatroom/source-text.js";

export const MAX_ENTRIES = 2000;
export const MAX_CHARACTERS = 4_000_000;

/**
 * @typedef {object} Chat A message whose payload is `{"name", "text"}`.
 * @property {"chat"} kind
 * @property {Date} time
 * @property {string} id
 * @property {string} name
 * @property {string} text
 * @property {string} [user] The authenticated user who sent it, according to the server.
 * @property {boolean} [mine] Whether it was sent from this page. The following are of those only.
 * @property {"sending" | "acknowledged" | "partial" | "refused"} [status] `partial`: acknowledged, but
 *     only those who are connected to the same process have it.
 * @property {string} [code] The error code of a refused message.
 * @property {string} [problem] Why it was refused.
 */

/**
 * @typedef {object} Json A message with any other payload.
 * @property {"json"} kind
 * @property {Date} time
 * @property {string} id
 * @property {string} text The payload as it was written.
 * @property {string} [user] The authenticated user who sent it, according to the server.
 */

/**
 * @typedef {object} NoticeEntry A remark of the page itself.
 * @property {"notice"} kind
 * @property {Date} time
 * @property {string} text
 * @property {string} [code] An error code, to be shown before the text.
 * @property {boolean} [isDivider] Whether it only divides messages, and nothing is wrong.
 */

/** @typedef {Chat | Json | NoticeEntry} Entry */

/** Numbers its entries. An entry keeps its number when older entries are discarded. */
export class History {
  /** The number of the oldest entry that is still kept. */
  first = 0;
  /** @type {Entry[]} */ #entries = [];
  #characters = 0;

  /** The number of the next entry to be added. */
  get end() {
    return this.first + this.#entries.length;
  }

  /**
   * @param {number} number
   * @returns {Entry | undefined}
   */
  at(number) {
    return this.#entries[number - this.first];
  }

  /** @param {Entry} entry */
  add(entry) {
    this.#entries.push(entry);
    this.#characters += lengthOf(entry);
    // In batches, because removing from the front moves all other entries.
    if (this.#entries.length >= MAX_ENTRIES * 1.1 || this.#characters > MAX_CHARACTERS) this.#trim();
  }

  #trim() {
    let surplus = 0;
    let characters = this.#characters;
    // The newest entry stays, however large it is.
    for (const entry of this.#entries.slice(0, -1)) {
      const isOver = this.#entries.length - surplus > MAX_ENTRIES;
      if (!isOver && characters <= MAX_CHARACTERS * 0.9) break;
      characters -= lengthOf(entry);
      surplus += 1;
    }
    this.#entries.splice(0, surplus);
    this.first += surplus;
    this.#characters = characters;
  }
}

/** @param {Entry} entry */
function lengthOf(entry) {
  return entry.text.length + ("name" in entry ? entry.name.length : 0);
}

/**
 * Create the entry for an event. A payload of `{"name", "text"}` is chat; anything else is shown as
 * JSON.
 *
 * @param {import("./chatroom.js").ChatEvent} event
 * @returns {Chat | Json}
 */
export function entryOf({ message, ts, text, user }) {
  const { id, payload } = message;
  const time = new Date(ts);
  if (isChat(payload)) {
    return { kind: "chat", time, id, name: payload.name, text: payload.text, user };
  }
  const written = member(member(text, "message") ?? "", "payload") ?? "";
  return { kind: "json", time, id, text: written, user };
}

/**
 * @param {any} payload
 * @returns {payload is {name: string, text: string}}
 */
function isChat(payload) {
  return (
    typeof payload?.name === "string" &&
    typeof payload.text === "string" &&
    Object.keys(payload).length === 2
  );
}
