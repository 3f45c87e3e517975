/**
 * Tells screen readers of new messages, a second's worth at a time: a few are read out, of a burst
 * the number.
 *
 * @module announcer
 */

import { byId, count } from "./dom.js";

const PAUSE = 1000;
const FEW = 3;
const KEPT = 20;

export class Announcer {
  #region = byId("live");
  #waiting = [];
  #number = 0;
  #timer = 0;

  /** @param {string} sentence */
  say(sentence) {
    this.#number += 1;
    if (this.#waiting.length <= FEW) this.#waiting.push(sentence);
    this.#timer ||= setTimeout(() => this.#speak(), PAUSE);
  }

  #speak() {
    const sentences =
      this.#number > FEW ? [count(this.#number, "new message")] : this.#waiting;
    for (const sentence of sentences) this.sayNow(sentence);
    this.#waiting = [];
    this.#number = this.#timer = 0;
  }

  /**
   * Say what must not go under in a burst.
   *
   * @param {string} sentence
   */
  sayNow(sentence) {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence.slice(0, 300);
    this.#region.append(paragraph);
    while (this.#region.children.length > KEPT) this.#region.firstChild.remove();
  }
}
