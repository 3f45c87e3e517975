/**
 * Announces new messages to screen readers, at most once a second. A few messages are read out in
 * full; of a burst, only their number is.
 *
 * @module announcer
 */

import { byId, count, element } from "./dom.js";

const INTERVAL = 1000;
const FEW = 3;
const KEPT = 20;

export class Announcer {
  #region = byId("live");
  /** @type {string[]} */ #waiting = [];
  #number = 0;
  #isScheduled = false;

  /**
   * Announce a message with the next batch.
   *
   * @param {string} message
   */
  announce(message) {
    this.#number += 1;
    if (this.#waiting.length <= FEW) this.#waiting.push(message);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setTimeout(() => this.#flush(), INTERVAL);
  }

  #flush() {
    const messages = this.#number > FEW ? [count(this.#number, "new message")] : this.#waiting;
    for (const message of messages) this.announceNow(message);
    this.#waiting = [];
    this.#number = 0;
    this.#isScheduled = false;
  }

  /**
   * Announce something that must not get lost in a burst.
   *
   * @param {string} message
   */
  announceNow(message) {
    this.#region.append(element("p", {}, message.slice(0, 300)));
    while (this.#region.children.length > KEPT) this.#region.firstChild?.remove();
  }
}
