/**
 * The wire: every frame in both directions, as it was, and an editor for a raw one. Rows have one
 * height, so that of hundreds only those in view are in the document.
 *
 * @module wire
 */

import { byId, count, element, size, timeOf } from "./dom.js";
import { layOut } from "./json-text.js";

export const MAX_FRAMES = 500;

/** Pixels; the same as --row in the style sheet. */
const ROW = 46;

const encoder = new TextEncoder();

export class Wire {
  #list = byId("frames");
  #filter = byId("wire-filter");
  #direction = byId("wire-direction");
  #pause = byId("wire-pause");
  #rows = element("div", { class: "rows", role: "presentation" });
  /** @type {(import("./chatroom.js").Frame & {number: number})[]} */ #frames = [];
  #shown = [];
  /** @type {Map<number, HTMLElement>} The rows in the document, by the number of the frame. */
  #drawn = new Map();
  #paused = false;
  #number = 0;
  #missed = 0;
  /** What the details show; it may be kept no more. */ #selected = null;
  /** Whether the newest is in view, or would be if the panel were. */ #atEnd = true;
  #drawing = 0;
  #edit;

  /**
   * @param {import("./chatroom.js").ChatRoom} chat
   * @param {(text: string) => void} edit Takes a frame's text into the editor.
   */
  constructor(chat, edit) {
    this.#edit = edit;
    this.#list.append(this.#rows);
    chat.addEventListener("frame", ({ detail }) => this.#add(detail));
    this.#list.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
    this.#list.addEventListener("click", ({ target }) => {
      const row = target.closest("[data-number]");
      if (row) this.#select(this.#shown.find(({ number }) => number === Number(row.dataset.number)));
    });
    // It has come into view, or has made room for the details of a frame, which is to stay in view.
    const onResize = () => (this.#selected ? this.#reveal() : this.#refresh());
    new ResizeObserver(onResize).observe(this.#list);
    this.#filter.addEventListener("input", () => this.#restart());
    this.#direction.addEventListener("change", () => this.#restart());
    this.#pause.addEventListener("click", () => this.#togglePause());
    byId("wire-clear").addEventListener("click", () => this.#clear());
    byId("frame-close").addEventListener("click", () => this.#select(null));
    byId("frame-edit").addEventListener("click", () => this.#edit(this.#selected.text));
  }

  #add(frame) {
    this.#number += 1;
    if (this.#paused) {
      this.#missed += 1;
    } else {
      this.#frames.push({ ...frame, number: this.#number });
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

  /** What is shown is another choice of frames, from its newest. */
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
    const limit = this.#frames.length === MAX_FRAMES ? ` (the last ${MAX_FRAMES})` : "";
    if (this.#paused) return `${shown}; paused, ${count(this.#missed, "frame")} not kept.`;
    return this.#frames.length ? `${shown}${limit}.` : "No frames yet.";
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < ROW;
    this.#draw();
  }

  #draw() {
    const { scrollTop, clientHeight } = this.#list;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - 2);
    const last = Math.min(this.#shown.length, Math.ceil((scrollTop + clientHeight) / ROW) + 2);
    const rows = new Map();
    for (let index = first; index < last; index += 1) {
      const frame = this.#shown[index];
      const row = this.#drawn.get(frame.number) ?? rowOf(frame);
      this.#place(row, index);
      rows.set(frame.number, row);
    }
    this.#replace(rows);
    const active = this.#selected && rows.get(this.#selected.number);
    if (active) this.#list.setAttribute("aria-activedescendant", active.id);
    else this.#list.removeAttribute("aria-activedescendant");
  }

  #place(row, index) {
    row.setAttribute("aria-selected", String(this.#shown[index] === this.#selected));
    row.setAttribute("aria-posinset", index + 1);
    row.setAttribute("aria-setsize", this.#shown.length);
    row.style.top = `${index * ROW}px`;
  }

  /** Rows that stay are not touched: one may be under a finger, between down and up. */
  #replace(rows) {
    for (const [number, row] of this.#drawn) if (!rows.has(number)) row.remove();
    this.#drawn = rows;
    let before = null;
    for (const row of rows.values()) {
      if (row.parentNode !== this.#rows || row.previousElementSibling !== before) {
        if (before) before.after(row);
        else this.#rows.prepend(row);
      }
      before = row;
    }
  }

  #onKey(event) {
    const steps = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Escape" && this.#selected) this.#select(null);
    if (!(event.key in steps) || event.altKey || event.ctrlKey || !this.#shown.length) return;
    event.preventDefault();
    const last = this.#shown.length - 1;
    const at = this.#shown.indexOf(this.#selected);
    const from = at < 0 ? last + (event.key === "ArrowUp" ? 1 : 0) : at;
    const index = Math.min(last, Math.max(0, from + steps[event.key]));
    this.#select(this.#shown[index]);
    this.#reveal();
  }

  /** Scroll as little as is needed for the selected row to be in view. */
  #reveal() {
    const index = this.#shown.indexOf(this.#selected);
    const top = index * ROW;
    const list = this.#list;
    if (index >= 0 && top < list.scrollTop) list.scrollTop = top;
    else if (index >= 0 && top + ROW > list.scrollTop + list.clientHeight) {
      list.scrollTop = top + ROW - list.clientHeight;
    }
    this.#draw();
  }

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

function rowOf(frame) {
  const sent = frame.direction === "out";
  return element(
    "div",
    {
      class: `frame ${frame.direction}`,
      role: "option",
      id: `frame-${frame.number}`,
      "data-number": frame.number,
    },
    element("span", { class: "arrow", "aria-hidden": "true" }, sent ? "↑" : "↓"),
    element("span", { class: "hidden" }, sent ? "sent " : "received "),
    element("strong", {}, typeOf(frame)),
    element("span", { class: "when" }, `${timeOf(frame.time)}  ${size(bytesOf(frame))}`),
    element("code", {}, frame.text.slice(0, 300)),
  );
}

function bytesOf(frame) {
  frame.bytes ??= encoder.encode(frame.text).length;
  return frame.bytes;
}

/** What it says that it is; an editor may send anything. */
function typeOf(frame) {
  return /"type"\s*:\s*"(\w{1,20})"/.exec(frame.text)?.[1] ?? "?";
}
