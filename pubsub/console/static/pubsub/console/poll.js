/**
 * Asks for `/health` and `/stats` every two seconds, while the page is visible.
 *
 * @module poll
 */

import * as rest from "./rest.js";

const INTERVAL = 2000;

/** Dispatches `figures` (`{health, stats, at}`; `at` in milliseconds) and `failure` (the error). */
export class Poll extends EventTarget {
  #timer = 0;
  #asking = false;
  #again = false;

  /** Begin, and go on whenever the page is visible. */
  start() {
    document.addEventListener("visibilitychange", () => this.now());
    this.now();
  }

  /** Ask at once. */
  async now() {
    clearTimeout(this.#timer);
    this.#again = this.#asking;
    if (document.hidden || this.#asking) return;
    this.#asking = true;
    try {
      const [health, stats] = await Promise.all([rest.health(), rest.stats()]);
      const detail = { health, stats, at: performance.now() };
      this.dispatchEvent(new CustomEvent("figures", { detail }));
    } catch (error) {
      this.dispatchEvent(new CustomEvent("failure", { detail: error }));
    }
    this.#asking = false;
    if (this.#again) this.now();
    else if (!document.hidden) this.#timer = setTimeout(() => this.now(), INTERVAL);
  }
}
