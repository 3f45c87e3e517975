/**
 * The open room: its title, its conversation, and the field to write in.
 *
 * @module open-room
 */

import { Announcer } from "./announcer.js";
import { Conversation } from "./conversation.js";
import { byId, count, say } from "./dom.js";
import * as storage from "./storage.js";

const wide = matchMedia("(min-width: 700px)");

export class OpenRoom {
  /** @type {string | null} The name in the address, whether there is such a room or not. */
  name = null;
  #rooms;
  #actions;
  #conversation;
  #announcer = new Announcer();
  #field = byId("composer-text");
  #nameField = byId("name");

  /**
   * @param {import("./rooms.js").Rooms} rooms
   * @param {{create: Function, leave: Function, remove: Function}} actions Each takes a name.
   */
  constructor(rooms, actions) {
    this.#rooms = rooms;
    this.#actions = actions;
    this.#conversation = new Conversation((entry) => {
      rooms.retry(this.#room, entry);
      this.#field.focus(); // the button is gone
    });
    this.#nameField.value = storage.name.get() ?? `Guest ${100 + Math.floor(Math.random() * 900)}`;
    this.#listen();
  }

  get #room() {
    return this.name === null ? undefined : this.#rooms.joined.get(this.name);
  }

  /** Whether the reader sees the newest message of this room. */
  isRead(room) {
    return room === this.#room && !document.hidden && this.#conversation.isAtNewest();
  }

  /**
   * Open a room, or none.
   *
   * @param {string | null} name
   * @param {{focus?: boolean}} [options] Whether the reader asked for it, and is to be led there.
   */
  open(name, { focus = true } = {}) {
    if (this.#room) this.#room.draft = this.#field.value;
    this.name = name;
    say(byId("welcome-problem"), "");
    const { topics } = this.#rooms;
    if (name !== null && topics?.has(name)) this.#rooms.join(name);
    this.draw();
    const room = this.#room;
    const lead = focus && wide.matches;
    if (!room) {
      if (lead) byId("welcome-title").focus();
      return;
    }
    this.#conversation.show(room.history);
    this.#field.value = room.draft;
    this.#fit();
    this.markRead();
    if (lead) this.#field.focus();
  }

  /** Draw all but the messages. */
  draw() {
    const room = this.#room;
    byId("room").hidden = !room;
    byId("welcome").hidden = Boolean(room);
    if (!room) {
      this.#drawWelcome();
      return;
    }
    const subscribers = this.#rooms.topics?.get(room.name) ?? 0;
    const gone = room.state === "gone";
    byId("room-title").textContent = room.name;
    byId("room-subscribers").textContent = {
      gone: "gone",
      refused: room.problem,
      joining: "joining…",
      joined: count(subscribers, "subscriber"),
    }[room.state];
    byId("gone").hidden = !gone;
    byId("composer").hidden = gone;
    byId("room-delete").hidden = gone;
  }

  #drawWelcome() {
    const asking = this.#rooms.topics === null;
    const missing = this.name !== null && !asking;
    byId("welcome-button").hidden = asking;
    const empty = this.#rooms.topics?.size === 0;
    byId("welcome-title").textContent = asking
      ? "Asking the server…"
      : missing
      ? `There is no room “${this.name}”`
      : empty
        ? "No rooms yet"
        : "No room is open";
    byId("welcome-text").textContent = asking
      ? ""
      : missing
      ? "The link leads to a room that does not exist, or not any more."
      : empty
        ? "A room is a topic: whoever is subscribed gets what the others publish."
        : "Choose a room from the list, or create one.";
    byId("welcome-button").textContent = missing ? "Create it" : "Create a room";
  }

  /** A new entry of any joined room. */
  onAdded(room, entry) {
    const isMessage = entry.kind !== "notice";
    if (isMessage && !entry.mine && !this.isRead(room)) room.unread += 1;
    if (room !== this.#room) return;
    this.#conversation.onAdded({ message: isMessage && !entry.mine });
    if (entry.mine) this.#conversation.goToNewest();
    else this.#announcer.say(entry.kind === "chat" ? `${entry.name}: ${entry.text}` : entry.text);
  }

  onChanged(room, entry) {
    if (room === this.#room) this.#conversation.onChanged(entry);
    if (entry.status === "refused") this.#announcer.sayNow(`Not sent: ${entry.problem}`);
  }

  /** The reader has come back, or scrolled down, or looks at the conversation again. */
  markRead() {
    const room = this.#room;
    if (room?.unread && this.isRead(room)) {
      room.unread = 0;
      return true;
    }
    return false;
  }

  /** Lead to the field, or to what is there in its place. */
  focus() {
    const gone = this.#room?.state === "gone";
    byId(!this.#room ? "welcome-title" : gone ? "room-title" : "composer-text").focus();
  }

  goToNewest() {
    this.#conversation.goToNewest();
  }

  #listen() {
    const { create, leave, remove } = this.#actions;
    byId("room-leave").addEventListener("click", () => leave(this.name));
    byId("room-delete").addEventListener("click", () => remove(this.name));
    byId("gone-create").addEventListener("click", () => create(this.name));
    byId("welcome-button").addEventListener("click", () => this.#onWelcome());
    this.#nameField.addEventListener("change", () => storage.name.set(this.#nameField.value.trim()));
    this.#field.addEventListener("input", () => this.#fit());
    this.#field.addEventListener("keydown", (event) => {
      // Safari ends a composition before it tells of the Enter that did; 229 tells of it.
      const composing = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || composing) return;
      event.preventDefault();
      this.#send();
    });
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  async #onWelcome() {
    if (this.name === null) {
      document.body.dataset.view = "rooms";
      byId("find-text").focus();
      return;
    }
    try {
      await this.#actions.create(this.name);
    } catch (error) {
      say(byId("welcome-problem"), error.message);
    }
  }

  #send() {
    const text = this.#field.value.trim();
    const room = this.#room;
    if (!text || !room) return;
    const name = this.#nameField.value.trim() || "Guest";
    storage.name.set(name);
    this.#nameField.value = name;
    this.#field.value = "";
    this.#fit();
    this.#rooms.send(room, { name, text });
  }

  /** The field is as high as its text, within the bounds of the style sheet. */
  #fit() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight + 2}px`;
  }
}
