/**
 * The messages of the open room. Of a history of thousands only a window is in the document; it
 * grows and moves while the reader scrolls, and follows the newest message unless the reader has
 * scrolled up.
 *
 * @module conversation
 */

import { byId, count } from "./dom.js";
import { History } from "./history.js";
import { messageElement } from "./message.js";

/** Entries in the document at most, and how many more come at its edge. */
export const WINDOW = 200;
const STEP = 60;

/** Pixels from an edge that count as being there. */
const EDGE = 60;

export class Conversation {
  #scroller = byId("messages-scroll");
  #list = byId("messages");
  #button = byId("newest");
  #silence = byId("silence");
  #history = new History();
  #from = 0;
  #to = 0;
  #following = true;
  #unseen = 0;
  #frame = 0;
  #retry;

  /** @param {(entry: import("./history.js").Entry) => void} retry */
  constructor(retry) {
    this.#retry = retry;
    this.#scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#button.addEventListener("click", () => this.goToNewest());
    new ResizeObserver(() => this.#following && this.#toBottom()).observe(this.#scroller);
  }

  /** Whether the newest message is in view; on narrow screens something else may be. */
  isAtNewest() {
    return this.#following && this.#scroller.clientHeight > 0;
  }

  /** Show another room's history, from its newest message. */
  show(history) {
    this.#history = history;
    this.goToNewest();
  }

  /** Take note that the history has grown; what is to be seen is drawn with the next frame. */
  onAdded({ message = true } = {}) {
    if (!this.#following && message) this.#unseen += 1;
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /** Draw an entry anew, if it is in the document. */
  onChanged(entry) {
    for (let number = this.#to - 1; number >= this.#from; number -= 1) {
      if (this.#history.at(number) === entry) {
        this.#list.children[number - this.#from]?.replaceWith(this.#element(number));
        if (this.#following) this.#toBottom();
        return;
      }
    }
  }

  /** Follow the newest message again. */
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
    this.#silence.hidden = history.end > 0;
    if (this.#following) {
      if (history.end - this.#to > STEP) this.#restart();
      this.#extendDown(history.end);
      this.#dropAbove(this.#to - WINDOW);
      this.#toBottom();
    } else {
      this.#keepingPlace(() => this.#dropAbove(history.first));
      // Below the reader there is room for more until the window is full.
      this.#extendDown(Math.min(history.end, this.#from + WINDOW));
    }
    this.#button.hidden = this.#following;
    this.#button.textContent = this.#unseen
      ? `${count(this.#unseen, "new message")} ↓`
      : "To the newest ↓";
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
    // What has come since the last frame is not drawn yet, and no reason to stop following.
    this.#following = below < EDGE && (wasFollowing || this.#to === this.#history.end);
    if (this.#following) this.#unseen = 0;
    else if (scrollTop < EDGE && this.#from > this.#history.first) this.#extendUp();
    if (this.#following !== wasFollowing) this.#draw();
  }

  #extendDown(end) {
    while (this.#to < end) {
      this.#list.append(this.#element(this.#to));
      this.#to += 1;
    }
  }

  #extendUp() {
    const from = Math.max(this.#history.first, this.#from - STEP);
    this.#keepingPlace(() => {
      const older = [];
      for (let number = from; number < this.#from; number += 1) older.push(this.#element(number));
      this.#list.prepend(...older);
      this.#from = from;
      while (this.#to - this.#from > WINDOW) {
        this.#list.lastElementChild.remove();
        this.#to -= 1;
      }
    });
  }

  #dropAbove(number) {
    while (this.#from < number && this.#from < this.#to) {
      this.#list.firstElementChild.remove();
      this.#from += 1;
    }
    if (this.#from < number) this.#from = this.#to = number;
  }

  /** Change what is above the reader without moving what the reader sees. */
  #keepingPlace(change) {
    const { scrollTop } = this.#scroller;
    const visible = [...this.#list.children].find(
      (item) => item.offsetTop + item.offsetHeight > scrollTop,
    );
    const before = visible?.offsetTop ?? 0;
    change();
    if (visible?.isConnected) this.#scroller.scrollTop = scrollTop + visible.offsetTop - before;
  }

  #toBottom() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #element(number) {
    const history = this.#history;
    return messageElement(history.at(number), history.at(number - 1), this.#retry);
  }
}
