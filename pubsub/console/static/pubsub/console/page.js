/**
 * The entry point of the page, which connects its parts.
 *
 * @module page
 */

import { connect } from "./chatroom.js";
import { showConnection } from "./connection.js";
import { byId, messageOf } from "./dom.js";
import { editor } from "./editor.js";
import { Health } from "./health.js";
import { OpenRoom } from "./open-room.js";
import { panels } from "./panels.js";
import { Poll } from "./poll.js";
import { Processes } from "./processes.js";
import * as rest from "./rest.js";
import { RoomList, hashOf } from "./room-list.js";
import { Rooms } from "./rooms.js";
import { Session } from "./session.js";
import { shortcuts } from "./shortcuts.js";
import { Wire } from "./wire.js";

const websocket = new URL(document.documentElement.dataset.websocket ?? "", location.href);
websocket.protocol = websocket.protocol.replace("http", "ws");
websocket.hash = "";

const chat = connect(websocket);
const poll = new Poll();
const show = panels(markRead);
showConnection(chat);
const edit = editor(chat, () => openRoom.name);
new Wire(chat, edit);
new Health(poll);
new Processes(chat, poll);

const rooms = new Rooms(chat);
const openRoom = new OpenRoom(rooms, { create, leave, remove });
const session = new Session(chat, () => {
  rooms.retryRefused();
  poll.now();
});
const list = new RoomList(rooms, (name) => name === openRoom.name, { open, create });

// --- The URL ---

/** @returns {string | null} The room in the URL, or `null`. */
function nameInUrl() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || null;
  } catch {
    return location.hash.slice(1);
  }
}

/** Open the room in the URL. */
function onUrl({ focus = true } = {}) {
  const name = nameInUrl();
  openRoom.open(name, { focus });
  show(name === null ? "rooms" : "chat");
  redraw();
}

/** @param {string | null} name */
function open(name) {
  const hash = name === null ? "" : hashOf(name);
  if (location.hash === hash) {
    onUrl();
  } else if (name === null) {
    history.pushState(null, "", location.pathname + location.search);
    onUrl();
  } else {
    location.hash = hash;
  }
}

function write() {
  show("chat");
  openRoom.focus();
}

// --- What the user does ---

/**
 * @param {string} name
 * @param {rest.TopicOptions} [options]
 */
async function create(name, options) {
  try {
    await rest.createTopic(name, options);
  } catch (error) {
    if (codeOf(error) !== "TOPIC_EXISTS") throw plain(error, "You may not create this room");
  }
  rooms.addTopic(name);
  rooms.join(name);
  if (name === openRoom.name) openRoom.open(name);
  redraw();
  poll.now();
}

/** @param {string} name */
function leave(name) {
  rooms.leave(name);
  if (name === openRoom.name) open(null);
}

/** @param {string} name */
async function remove(name) {
  const dialog = byId("confirm", HTMLDialogElement);
  byId("confirm-title").textContent = `Delete “${name}”?`;
  byId("confirm-text").textContent =
    "Everyone in the room will be notified, and no more messages can be posted.";
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "yes") return;
  try {
    await rest.deleteTopic(name);
  } catch (error) {
    if (codeOf(error) !== "TOPIC_NOT_FOUND") {
      const reason = messageOf(plain(error, "you may not delete it"));
      rooms.note(name, `The room was not deleted: ${reason}.`);
      return;
    }
  }
  rooms.topics?.delete(name);
  leave(name);
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof rest.RestError ? error.code : undefined;
}

/**
 * Return a refusal in plain words, and any other error as it is. Ask for a token if one is needed.
 *
 * @param {unknown} error
 * @param {string} forbidden
 */
function plain(error, forbidden) {
  if (!(error instanceof rest.RestError)) return error;
  if (error.wantsToken) {
    session.ask();
    return new Error("sign in first");
  }
  return error.code === "FORBIDDEN" ? new Error(forbidden) : error;
}

/** @param {number} by */
function step(by) {
  const { names } = list;
  const at = names.findIndex((name) => name === openRoom.name);
  const name = names[at < 0 ? 0 : (at + by + names.length) % names.length];
  if (name !== undefined) open(name);
}

// --- Updates ---

function isIdle() {
  return document.activeElement === document.body || document.activeElement?.id === "welcome-title";
}

let isScheduled = false;

/** Redraw lists and counts, at most 20 times a second, even in a hidden page: its title changes. */
function redraw() {
  if (isScheduled) return;
  isScheduled = true;
  setTimeout(() => {
    isScheduled = false;
    list.draw();
    openRoom.draw();
    showUnread();
  }, 50);
}

function markRead() {
  if (openRoom.markRead()) redraw();
}

function showUnread() {
  let unread = 0;
  for (const room of rooms.joined.values()) unread += room.unread;
  const badge = byId("views-unread");
  badge.hidden = !unread;
  badge.textContent = unread > 999 ? "999+" : String(unread);
  const title = openRoom.name === null ? "Chat room" : `#${openRoom.name} · Chat room`;
  document.title = unread ? `(${unread}) ${title}` : title;
}

rooms.addEventListener("change", redraw);
rooms.addEventListener("presence", ({ detail }) => {
  if (detail.name === openRoom.name) redraw();
});
rooms.addEventListener("membership", () => poll.now());
rooms.addEventListener("unauthorized", () => session.ask());
rooms.addEventListener("added", ({ detail: { room, entry } }) => {
  openRoom.onAdded(room, entry);
  redraw();
});
rooms.addEventListener("entry", ({ detail: { room, entry } }) => openRoom.onChanged(room, entry));
poll.addEventListener("figures", ({ detail: { health, topics, total } }) => {
  if (health.uptime_sec === undefined) session.offer(); // access is controlled
  rooms.update(topics, total);
  // The room in the URL may only have become known, or been created, after the page was opened.
  const { name } = openRoom;
  if (name !== null && !rooms.joined.has(name) && topics.has(name)) onUrl({ focus: isIdle() });
});
poll.addEventListener("failure", ({ detail }) => {
  if (!(detail instanceof rest.RestError && detail.wantsToken)) return;
  rooms.lock();
  session.ask();
});
chat.addEventListener("state", ({ detail: { state } }) => {
  if (state !== "open") return;
  poll.reset();
  poll.now();
});
window.addEventListener("hashchange", () => onUrl());
document.addEventListener("visibilitychange", markRead);
byId("messages-scroll").addEventListener("scroll", markRead);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  write();
});

shortcuts({
  room: step,
  find: () => {
    show("rooms");
    byId("find-text").focus();
  },
  write,
  newest: () => openRoom.goToNewest(),
  wire: () => {
    show("wire");
    byId("frames").focus();
  },
  health: () => {
    show("health");
    byId("health").focus();
  },
});
onUrl({ focus: nameInUrl() !== null });
poll.start();
