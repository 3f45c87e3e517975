/**
 * Requests `/health` and `/stats` every two seconds while the page is visible.
 *
 * @module poll
 */

import * as rest from "./rest.js";

const INTERVAL = 2000;

/**
 * @typedef {object} Figures
 * @property {rest.HealthAnswer} health
 * @property {rest.StatsAnswer} stats
 * @property {number} at When the answers arrived, in milliseconds of `performance.now()`.
 */

/** @typedef {{figures: Figures, failure: unknown}} PollEvents */

const PollTarget = /** @type {new () => import("./chatroom.js").Dispatcher<PollEvents>} */ (
  EventTarget
);

/** Dispatches `figures` with the answers, and `failure` with the error. */
export class Poll extends PollTarget {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #isRequesting = false;
  #again = false;

  /** Start polling; it pauses while the page is hidden. */
  start() {
    document.addEventListener("visibilitychange", () => this.now());
    this.now();
  }

  /** Request the figures immediately. */
  async now() {
    clearTimeout(this.#timer);
    this.#again = this.#isRequesting;
    if (document.hidden || this.#isRequesting) return;
    this.#isRequesting = true;
    try {
      const [health, stats] = await Promise.all([rest.health(), rest.stats()]);
      const detail = { health, stats, at: performance.now() };
      this.dispatchEvent(new CustomEvent("figures", { detail }));
    } catch (error) {
      this.dispatchEvent(new CustomEvent("failure", { detail: error }));
    }
    this.#isRequesting = false;
    if (this.#again) this.now();
    else if (!document.hidden) this.#timer = setTimeout(() => this.now(), INTERVAL);
  }
}
