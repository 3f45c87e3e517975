/**
 * Who is in a topic.
 *
 * @module members
 */

/** @typedef {import("./types.js").Member} Member */
/** @typedef {import("./types.js").PresenceMessage} PresenceMessage */

/**
 * @typedef {object} Presence
 * @property {string} topic
 * @property {number} clients The number of subscribers.
 * @property {number} users The number of users among the members.
 * @property {Member[] | null} members The members: users, and clients without one. `null` if there
 *     are too many to list.
 */

/** The members of one topic, as of the latest message about them. */
export class Members {
  /** @type {Map<string, Member> | null} By user or client id. */ #members = new Map();

  /**
   * Apply a message: the complete list, or who joined and who left since the previous message.
   *
   * @param {PresenceMessage} message
   * @returns {Presence}
   */
  apply({ topic, clients, users, members, joined = [], left = [], truncated = false }) {
    if (truncated) this.#members = null;
    else if (members) this.#members = new Map();
    for (const member of left) this.#members?.delete(keyOf(member));
    for (const member of members ?? joined) this.#members?.set(keyOf(member), member);
    return { topic, clients, users, members: this.#members && [...this.#members.values()] };
  }
}

/** @param {Member} member */
function keyOf({ user, client_id }) {
  return user === undefined ? `client ${client_id}` : `user ${user}`;
}
