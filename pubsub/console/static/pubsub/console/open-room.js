/**
 * The open room: its title, its conversation, and the field for a new message.
 *
 * @module open-room
 */

import { Announcer } from "./announcer.js";
import { Conversation } from "./conversation.js";
import { byId, count, messageOf, showMessage } from "./dom.js";
import { showMembers } from "./members.js";
import * as storage from "./storage.js";

/** @typedef {import("./rooms.js").Joined} Joined */
/** @typedef {import("./history.js").Entry} Entry */

/**
 * What the buttons do; each function takes the name of a room.
 *
 * @typedef {object} Actions
 * @property {(name: string) => Promise<void>} create
 * @property {(name: string) => void} leave
 * @property {(name: string) => Promise<void>} remove
 */

const wide = matchMedia("(min-width: 700px)");

export class OpenRoom {
  /** @type {string | null} The name in the URL, whether the room exists or not. */
  name = null;
  #rooms;
  #actions;
  #conversation;
  #announcer = new Announcer();
  #field = byId("composer-text", HTMLTextAreaElement);
  #nameField = byId("name", HTMLInputElement);

  /**
   * @param {import("./rooms.js").Rooms} rooms
   * @param {Actions} actions
   */
  constructor(rooms, actions) {
    this.#rooms = rooms;
    this.#actions = actions;
    this.#conversation = new Conversation((entry) => {
      if (this.#room) rooms.retry(this.#room, entry);
      this.#field.focus(); // because the button that had the focus is removed
    });
    this.#nameField.value = storage.name.get() ?? `Guest ${100 + Math.floor(Math.random() * 900)}`;
    this.#listen();
  }

  get #room() {
    return this.name === null ? undefined : this.#rooms.joined.get(this.name);
  }

  /**
   * Return whether the newest message of this room is visible.
   *
   * @param {Joined} room
   */
  isRead(room) {
    return room === this.#room && !document.hidden && this.#conversation.isAtNewest();
  }

  /**
   * Open a room, or none.
   *
   * @param {string | null} name
   * @param {{focus?: boolean}} [options] `focus`: whether to move the focus into the room.
   */
  open(name, { focus = true } = {}) {
    if (this.#room) this.#room.draft = this.#field.value;
    this.name = name;
    showMessage(byId("welcome-problem"), "");
    const { topics } = this.#rooms;
    if (name !== null && topics?.has(name)) this.#rooms.join(name);
    this.draw();
    const room = this.#room;
    const moveFocus = focus && wide.matches;
    if (!room) {
      if (moveFocus) byId("welcome-title").focus();
      return;
    }
    this.#conversation.show(room.history);
    this.#field.value = room.draft;
    this.#fit();
    this.markRead();
    if (moveFocus) this.#field.focus();
  }

  /** Draw everything but the messages. */
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
      gone: "deleted",
      refused: room.problem,
      joining: "joining…",
      joined: count(subscribers, "subscriber"),
    }[room.state];
    byId("gone").hidden = !gone;
    showMembers(room.state === "joined" ? room.presence : null);
    byId("composer").hidden = gone;
    byId("room-delete").hidden = gone;
  }

  #drawWelcome() {
    const [title, text, button] = this.#welcome();
    byId("welcome-title").textContent = title;
    byId("welcome-text").textContent = text;
    byId("welcome-button").textContent = button;
    byId("welcome-button").hidden = !button;
  }

  /** @returns {[title: string, text: string, button: string]} What is shown without a room. */
  #welcome() {
    const { topics, isLocked } = this.#rooms;
    if (isLocked) return ["Sign in to see the rooms", "This server needs a token.", ""];
    if (!topics) return ["Loading…", "", ""];
    if (this.name !== null) {
      const text = "The room that this link leads to does not exist. It may have been deleted.";
      return [`There is no room “${this.name}”`, text, "Create it"];
    }
    if (topics.size) {
      return ["No room is open", "Choose a room from the list, or create one.", "Create a room"];
    }
    const text = "Create a room. Everyone who joins it receives the messages that others send.";
    return ["No rooms yet", text, "Create a room"];
  }

  /**
   * A joined room has a new entry.
   *
   * @param {Joined} room
   * @param {Entry} entry
   */
  onAdded(room, entry) {
    const mine = entry.kind === "chat" && Boolean(entry.mine);
    const isNews = entry.kind !== "notice" && !mine;
    if (isNews && !this.isRead(room)) room.unread += 1;
    if (room !== this.#room) return;
    this.#conversation.onAdded({ isNews });
    if (mine) this.#conversation.goToNewest();
    else this.#announcer.announce(entry.kind === "chat" ? `${entry.name}: ${entry.text}` : entry.text);
  }

  /**
   * An entry of a joined room has changed.
   *
   * @param {Joined} room
   * @param {Entry} entry
   */
  onChanged(room, entry) {
    if (room === this.#room) this.#conversation.onChanged(entry);
    if (entry.kind === "chat" && entry.status === "refused") this.#announcer.announceNow(`Not sent: ${entry.problem}`);
  }

  /**
   * Reset the room's unread count if its newest message is visible.
   *
   * @returns {boolean} Whether the count has changed.
   */
  markRead() {
    const room = this.#room;
    if (room?.unread && this.isRead(room)) {
      room.unread = 0;
      return true;
    }
    return false;
  }

  /** Focus the message field, or what is shown in its place. */
  focus() {
    const gone = this.#room?.state === "gone";
    byId(!this.#room ? "welcome-title" : gone ? "room-title" : "composer-text").focus();
  }

  /** Jump to the newest message. */
  goToNewest() {
    this.#conversation.goToNewest();
  }

  #listen() {
    const { create, leave, remove } = this.#actions;
    /** @param {string} id @param {(name: string) => unknown} action */
    const onClick = (id, action) =>
      byId(id).addEventListener("click", () => {
        if (this.name !== null) action(this.name);
      });
    onClick("room-leave", leave);
    onClick("room-delete", remove);
    onClick("gone-create", create);
    byId("welcome-button").addEventListener("click", () => this.#onWelcome());
    this.#nameField.addEventListener("change", () => storage.name.set(this.#nameField.value.trim()));
    this.#field.addEventListener("input", () => this.#fit());
    this.#field.addEventListener("keydown", (event) => {
      // Safari ends a composition before it reports the Enter that ended it; 229 reveals that.
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
      showMessage(byId("welcome-problem"), messageOf(error));
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

  /** Make the field as high as its text, within the limits of the style sheet. */
  #fit() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight + 2}px`;
  }
}
