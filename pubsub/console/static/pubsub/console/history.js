/**
 * What was said in one room, bounded by number and by size.
 *
 * @module history
 */

import { member } from "./json-text.js";

export const MAX_ENTRIES = 2000;
export const MAX_CHARACTERS = 4_000_000;

/**
 * @typedef {object} Entry
 * @property {"chat" | "json" | "notice"} kind
 * @property {Date} time
 * @property {boolean} [mine]
 * @property {string} [id] Of a message.
 * @property {string} [name] Of "chat".
 * @property {string} [text] Of "chat": the text. Of "json": the JSON as it was written.
 *     Of "notice": the sentence.
 * @property {"sending" | "acknowledged" | "refused"} [status] Of one's own.
 * @property {string} [problem] Of a refused one.
 * @property {string} [code] Of a notice or a refusal: the error code.
 */

/** Entries have a number each, which stays the same while older ones are forgotten. */
export class History {
  /** The number of the oldest entry that is kept. */
  first = 0;
  /** @type {Entry[]} */ #entries = [];
  #characters = 0;

  /** The number that the next entry will get. */
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
    // In batches: to take one from the front moves all the others.
    if (this.#entries.length >= MAX_ENTRIES * 1.1 || this.#characters > MAX_CHARACTERS) this.#trim();
    return entry;
  }

  #trim() {
    let surplus = Math.max(0, this.#entries.length - MAX_ENTRIES);
    let characters = this.#characters;
    for (let i = 0; i < surplus; i += 1) characters -= lengthOf(this.#entries[i]);
    while (characters > MAX_CHARACTERS * 0.9 && surplus < this.#entries.length - 1) {
      characters -= lengthOf(this.#entries[surplus]);
      surplus += 1;
    }
    this.#entries.splice(0, surplus);
    this.first += surplus;
    this.#characters = characters;
  }
}

function lengthOf({ name = "", text }) {
  return name.length + text.length;
}

/**
 * Make an entry of a message: `{"name","text"}` is chat, anything else is shown as JSON.
 *
 * @param {import("./chatroom.js").ChatEvent} event
 * @returns {Entry}
 */
export function entryOf({ message, ts, text }) {
  const time = new Date(ts);
  if (isChat(message.payload)) return { kind: "chat", time, id: message.id, ...message.payload };
  const written = member(member(text, "message") ?? "", "payload") ?? "";
  return { kind: "json", time, id: message.id, text: written };
}

function isChat(payload) {
  return (
    typeof payload?.name === "string" &&
    typeof payload.text === "string" &&
    Object.keys(payload).length === 2
  );
}
