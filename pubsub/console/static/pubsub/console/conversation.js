/**
 * The messages of the open room. The document holds only a window of a history of thousands. The
 * window grows and moves as the user scrolls, and follows the newest message unless the user has
 * scrolled up.
 *
 * @module conversation
 */

import { byId, count } from "./dom.js";
import { History } from "./history.js";
import { messageElement } from "./message.js";

/** @typedef {import("./history.js").Entry} Entry */

/** The maximum number of entries in the document, and how many are added at its edge. */
const WINDOW = 200;
const STEP = 60;

/** A distance in pixels that still counts as being at the edge. */
const EDGE = 60;

export class Conversation {
  #scroller = byId("messages-scroll");
  #list = byId("messages");
  #button = byId("newest");
  #empty = byId("no-messages");
  #history = new History();
  /** The entries in the document: from this number up to, but not including, `#to`. */
  #from = 0;
  #to = 0;
  #following = true;
  #unseen = 0;
  #frame = 0;
  #retry;

  /** @param {(entry: import("./history.js").Chat) => void} retry Sends a refused message again. */
  constructor(retry) {
    this.#retry = retry;
    this.#scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#button.addEventListener("click", () => this.goToNewest());
    const onResize = () => {
      if (this.#following) this.#toBottom();
    };
    new ResizeObserver(onResize).observe(this.#scroller);
  }

  /** Whether the newest message is visible. In narrow windows, another view may cover it. */
  isAtNewest() {
    return this.#following && this.#scroller.clientHeight > 0;
  }

  /**
   * Show another room's history, starting at its newest message.
   *
   * @param {History} history
   */
  show(history) {
    this.#history = history;
    this.goToNewest();
  }

  /**
   * Schedule drawing of an entry that was added to the history.
   *
   * @param {{isNews: boolean}} entry `isNews`: whether to count it on the button.
   */
  onAdded({ isNews }) {
    if (!this.#following && isNews) this.#unseen += 1;
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /**
   * Redraw an entry, if it is in the document.
   *
   * @param {Entry} entry
   */
  onChanged(entry) {
    for (let number = this.#to - 1; number >= this.#from; number -= 1) {
      if (this.#history.at(number) === entry) {
        this.#list.children[number - this.#from]?.replaceWith(...this.#elements(number));
        if (this.#following) this.#toBottom();
        return;
      }
    }
  }

  /** Jump to the newest message and follow it. */
  goToNewest() {
    this.#following = true;
    this.#unseen = 0;
    this.#restart();
    this.#draw();
  }

  #restart() {
    this.#list.replaceChildren();
    this.#from = this.#to = Math.max(this.#history.first, this.#history.end - STEP);
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const history = this.#history;
    this.#empty.hidden = history.end > 0;
    if (this.#following) {
      if (history.end - this.#to > STEP) this.#restart();
      this.#extendDown(history.end);
      this.#dropAbove(this.#to - WINDOW);
      this.#toBottom();
    } else {
      this.#keepingPlace(() => this.#dropAbove(history.first));
      // Add entries below the user's position until the window is full.
      this.#extendDown(Math.min(history.end, this.#from + WINDOW));
    }
    this.#button.hidden = this.#following;
    this.#button.textContent = this.#unseen
      ? `${count(this.#unseen, "new message")} ↓`
      : "Jump to latest ↓";
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const below = scrollHeight - scrollTop - clientHeight;
    const wasFollowing = this.#following;
    if (below < EDGE && !wasFollowing && this.#to < this.#history.end) {
      this.#keepingPlace(() => {
        this.#extendDown(Math.min(this.#history.end, this.#to + STEP));
        this.#dropAbove(this.#to - WINDOW);
      });
    }
    // Entries added since the last frame are not drawn yet; they do not end the following.
    this.#following = below < EDGE && (wasFollowing || this.#to === this.#history.end);
    if (this.#following) this.#unseen = 0;
    else if (scrollTop < EDGE && this.#from > this.#history.first) this.#extendUp();
    if (this.#following !== wasFollowing) this.#draw();
  }

  /** @param {number} end */
  #extendDown(end) {
    while (this.#to < end) {
      this.#list.append(...this.#elements(this.#to));
      this.#to += 1;
    }
  }

  #extendUp() {
    const from = Math.max(this.#history.first, this.#from - STEP);
    this.#keepingPlace(() => {
      this.#list.prepend(...this.#elements(from, this.#from));
      this.#from = from;
      while (this.#to - this.#from > WINDOW) {
        this.#list.lastElementChild?.remove();
        this.#to -= 1;
      }
    });
  }

  /** @param {number} number */
  #dropAbove(number) {
    while (this.#from < number && this.#from < this.#to) {
      this.#list.firstElementChild?.remove();
      this.#from += 1;
    }
    if (this.#from < number) this.#from = this.#to = number;
  }

  /**
   * Change what is above the user's position without moving what is visible.
   *
   * @param {() => void} change
   */
  #keepingPlace(change) {
    const { scrollTop } = this.#scroller;
    const items = /** @type {HTMLElement[]} */ ([...this.#list.children]);
    const visible = items.find((item) => item.offsetTop + item.offsetHeight > scrollTop);
    const before = visible?.offsetTop ?? 0;
    change();
    if (visible?.isConnected) this.#scroller.scrollTop = scrollTop + visible.offsetTop - before;
  }

  #toBottom() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /**
   * Create the elements of the entries from one number up to, but not including, another.
   *
   * @param {number} from
   * @param {number} [to]
   */
  #elements(from, to = from + 1) {
    const elements = [];
    for (let number = from; number < to; number += 1) {
      const entry = this.#history.at(number);
      if (entry) elements.push(messageElement(entry, this.#history.at(number - 1), this.#retry));
    }
    return elements;
  }
}
