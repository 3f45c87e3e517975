/**
 * The wire: every frame in both directions, unchanged. All rows have the same height, so the
 * document only needs to hold the visible ones.
 *
 * @module wire
 */

import { byId, count, element, size, timeOf } from "./dom.js";
import { layOut } from "./json-text.js";

const MAX_FRAMES = 500;

/** The height of a row in pixels; the same as --row in the style sheet. */
const ROW = 46;

const encoder = new TextEncoder();

/** @typedef {import("./chatroom.js").Frame & {number: number, bytes?: number}} NumberedFrame */

export class Wire {
  #list = byId("frames");
  #filter = byId("wire-filter", HTMLInputElement);
  #direction = byId("wire-direction", HTMLSelectElement);
  #pause = byId("wire-pause");
  #rows = element("div", { class: "rows", role: "presentation" });
  /** @type {NumberedFrame[]} */ #frames = [];
  /** @type {NumberedFrame[]} The frames that match the filter. */ #shown = [];
  /** @type {Map<number, HTMLElement>} The rows in the document, by the number of the frame. */
  #drawn = new Map();
  #paused = false;
  #number = 0;
  #missed = 0;
  /** @type {NumberedFrame | null} The frame in the details, even if it has since been discarded. */
  #selected = null;
  /** Whether the newest frame is visible, or would be if the panel were. */
  #atEnd = true;
  #drawing = 0;
  #edit;

  /**
   * @param {import("./chatroom.js").ChatRoom} chat
   * @param {(text: string) => void} edit Puts a frame's text into the editor.
   */
  constructor(chat, edit) {
    this.#edit = edit;
    this.#list.append(this.#rows);
    chat.addEventListener("frame", ({ detail }) => this.#add(detail));
    this.#list.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
    this.#list.addEventListener("click", ({ target }) => {
      const row = target instanceof Element ? target.closest(".frame") : null;
      if (row) this.#select(this.#shown.find(({ number }) => row.id === idOf(number)) ?? null);
    });
    // The list became visible, or it shrank to make room for the details of the selected frame.
    const onResize = () => {
      if (this.#selected) this.#reveal();
      else this.#refresh();
    };
    new ResizeObserver(onResize).observe(this.#list);
    this.#filter.addEventListener("input", () => this.#restart());
    this.#direction.addEventListener("change", () => this.#restart());
    this.#pause.addEventListener("click", () => this.#togglePause());
    byId("wire-clear").addEventListener("click", () => this.#clear());
    byId("frame-close").addEventListener("click", () => this.#select(null));
    byId("frame-edit").addEventListener("click", () => {
      if (this.#selected) this.#edit(this.#selected.text);
    });
  }

  /** @param {import("./chatroom.js").Frame} frame */
  #add(frame) {
    this.#number += 1;
    if (this.#paused) {
      this.#missed += 1;
    } else {
      this.#frames.push({ ...withoutToken(frame), number: this.#number });
      if (this.#frames.length > MAX_FRAMES) this.#frames.shift();
    }
    if (!this.#drawing) this.#drawing = requestAnimationFrame(() => this.#refresh());
  }

  #togglePause() {
    this.#paused = !this.#paused;
    this.#missed = 0;
    this.#pause.setAttribute("aria-pressed", String(this.#paused));
    this.#refresh();
  }

  #clear() {
    this.#frames = [];
    this.#missed = 0;
    this.#select(null);
    this.#restart();
  }

  /** Show another selection of frames, starting at the newest one. */
  #restart() {
    this.#atEnd = true;
    this.#refresh();
  }

  #refresh() {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = 0;
    const text = this.#filter.value.toLowerCase();
    const direction = this.#direction.value;
    this.#shown = this.#frames.filter(
      (frame) =>
        (!direction || frame.direction === direction) &&
        (!text || frame.text.toLowerCase().includes(text)),
    );
    this.#rows.style.height = `${this.#shown.length * ROW}px`;
    if (this.#atEnd) this.#list.scrollTop = this.#list.scrollHeight;
    byId("frame-count").textContent = this.#summary();
    this.#draw();
  }

  #summary() {
    const frames = count(this.#shown.length, "frame");
    const filtered = this.#shown.length < this.#frames.length;
    const shown = filtered ? `${frames} of ${this.#frames.length}` : frames;
    const limit = this.#frames.length === MAX_FRAMES ? ` (the latest ${MAX_FRAMES})` : "";
    if (this.#paused) return `${shown}; paused, ${count(this.#missed, "frame")} skipped`;
    return this.#frames.length ? `${shown}${limit}` : "No frames yet";
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < ROW;
    this.#draw();
  }

  #draw() {
    const { scrollTop, clientHeight } = this.#list;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - 2);
    const end = Math.ceil((scrollTop + clientHeight) / ROW) + 2;
    /** @type {Map<number, HTMLElement>} */
    const rows = new Map();
    for (const [offset, frame] of this.#shown.slice(first, end).entries()) {
      const row = this.#drawn.get(frame.number) ?? rowOf(frame);
      this.#place(row, frame, first + offset);
      rows.set(frame.number, row);
    }
    this.#replace(rows);
    const active = this.#selected && rows.get(this.#selected.number);
    if (active) this.#list.setAttribute("aria-activedescendant", active.id);
    else this.#list.removeAttribute("aria-activedescendant");
  }

  /**
   * @param {HTMLElement} row
   * @param {NumberedFrame} frame
   * @param {number} index
   */
  #place(row, frame, index) {
    row.setAttribute("aria-selected", String(frame === this.#selected));
    row.setAttribute("aria-posinset", String(index + 1));
    row.setAttribute("aria-setsize", String(this.#shown.length));
    row.style.top = `${index * ROW}px`;
  }

  /**
   * Put these rows into the document. Rows that stay are not moved, because one of them may be
   * under the user's finger, between touching and releasing.
   *
   * @param {Map<number, HTMLElement>} rows
   */
  #replace(rows) {
    for (const [number, row] of this.#drawn) if (!rows.has(number)) row.remove();
    this.#drawn = rows;
    /** @type {HTMLElement | null} */
    let before = null;
    for (const row of rows.values()) {
      if (row.parentNode !== this.#rows || row.previousElementSibling !== before) {
        if (before) before.after(row);
        else this.#rows.prepend(row);
      }
      before = row;
    }
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    /** @type {Record<string, number>} */
    const steps = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Escape" && this.#selected) this.#select(null);
    const step = steps[event.key];
    if (!step || event.altKey || event.ctrlKey || !this.#shown.length) return;
    event.preventDefault();
    const last = this.#shown.length - 1;
    const at = this.#indexOfSelected();
    const from = at < 0 ? last + (event.key === "ArrowUp" ? 1 : 0) : at;
    this.#select(this.#shown[Math.min(last, Math.max(0, from + step))] ?? null);
    this.#reveal();
  }

  #indexOfSelected() {
    return this.#selected ? this.#shown.indexOf(this.#selected) : -1;
  }

  /** Scroll just enough to make the selected row visible. */
  #reveal() {
    const index = this.#indexOfSelected();
    const top = index * ROW;
    const list = this.#list;
    if (index >= 0 && top < list.scrollTop) list.scrollTop = top;
    else if (index >= 0 && top + ROW > list.scrollTop + list.clientHeight) {
      list.scrollTop = top + ROW - list.clientHeight;
    }
    this.#draw();
  }

  /** @param {NumberedFrame | null} frame */
  #select(frame) {
    this.#selected = frame;
    byId("frame-detail").hidden = !frame;
    if (frame) {
      const direction = frame.direction === "out" ? "Sent" : "Received";
      byId("frame-title").textContent =
        `${direction} ${timeOf(frame.time)}, ${size(bytesOf(frame))}`;
      byId("frame-text").textContent = layOut(frame.text);
    }
    this.#draw();
  }
}

/**
 * Return a frame to show: a token that was typed into the editor is masked, even if the frame is
 * malformed. Its size remains that of the frame that was sent.
 *
 * @param {import("./chatroom.js").Frame} frame
 * @returns {Omit<NumberedFrame, "number">}
 */
function withoutToken(frame) {
  if (frame.direction === "in" || typeOf(frame) !== "auth") return frame;
  const text = frame.text.replace(/("token"\s*:\s*")(?:[^"\\]|\\.)*/g, "$1•••");
  return { ...frame, text, bytes: encoder.encode(frame.text).length };
}

/** @param {number} number */
function idOf(number) {
  return `frame-${number}`;
}

/** @param {NumberedFrame} frame */
function rowOf(frame) {
  const sent = frame.direction === "out";
  return element(
    "div",
    { class: `frame ${frame.direction}`, role: "option", id: idOf(frame.number) },
    element("span", { class: "arrow", "aria-hidden": "true" }, sent ? "↑" : "↓"),
    element("span", { class: "hidden" }, sent ? "sent " : "received "),
    element("strong", {}, typeOf(frame)),
    element("span", { class: "when" }, `${timeOf(frame.time)}  ${size(bytesOf(frame))}`),
    element("code", {}, frame.text.slice(0, 300)),
  );
}

/**
 * Return the size of a frame, which is only calculated for frames that are shown.
 *
 * @param {NumberedFrame} frame
 */
function bytesOf(frame) {
  frame.bytes ??= encoder.encode(frame.text).length;
  return frame.bytes;
}

/**
 * Return the type that a frame states, or "?": the editor can send any text.
 *
 * @param {import("./chatroom.js").Frame} frame
 */
function typeOf(frame) {
  return /"type"\s*:\s*"(\w{1,20})"/.exec(frame.text)?.[1] ?? "?";
}
