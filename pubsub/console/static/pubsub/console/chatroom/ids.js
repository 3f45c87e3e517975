/**
 * Ids of messages.
 *
 * @module ids
 */

/**
 * Return a random UUID (RFC 9562, version 4). It works outside secure contexts too, where
 * `crypto.randomUUID` does not exist: on `http://192.168…`, for example.
 *
 * @returns {string}
 */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte, index) => {
    if (index === 6) return (byte & 0x0f) | 0x40; // the version
    if (index === 8) return (byte & 0x3f) | 0x80; // the variant
    return byte;
  });
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The ids of this client's own latest messages, to recognize them among past ones. */
export class OwnIds {
  /** @type {Set<string>} In the order in which they were added. */ #ids = new Set();
  #limit;

  /** @param {number} limit How many ids to remember. */
  constructor(limit) {
    this.#limit = limit;
  }

  /** @param {string} id */
  add(id) {
    this.#ids.add(id);
    const [oldest] = this.#ids;
    if (oldest && this.#ids.size > this.#limit) this.#ids.delete(oldest);
  }

  /** @param {string} id */
  has(id) {
    return this.#ids.has(id);
  }
}
