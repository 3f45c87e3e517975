/**
 * The page: puts its parts together.
 *
 * @module page
 */

import { connect } from "./chatroom.js";
import { showConnection } from "./connection.js";
import { byId } from "./dom.js";
import { editor } from "./editor.js";
import { Health } from "./health.js";
import { OpenRoom } from "./open-room.js";
import { panels } from "./panels.js";
import { Poll } from "./poll.js";
import * as rest from "./rest.js";
import { RoomList, hashOf } from "./room-list.js";
import { Rooms } from "./rooms.js";
import { shortcuts } from "./shortcuts.js";
import { Wire } from "./wire.js";

const websocket = new URL(document.documentElement.dataset.websocket, location.href);
websocket.protocol = websocket.protocol.replace("http", "ws");
websocket.hash = "";

const chat = connect(websocket);
const poll = new Poll();
const show = panels(() => openRoom.markRead() && redraw());
showConnection(chat);
const wire = editor(chat, () => openRoom.name);
new Wire(chat, wire);
new Health(poll);

const rooms = new Rooms(chat);
const openRoom = new OpenRoom(rooms, { create, leave, remove });
const list = new RoomList(rooms, (name) => name === openRoom.name, { open, create });

// --- The address ---

function nameInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || null;
  } catch {
    return location.hash.slice(1);
  }
}

function onAddress({ focus = true } = {}) {
  const name = nameInAddress();
  openRoom.open(name, { focus });
  show(name === null ? "rooms" : "chat");
  redraw();
}

function open(name) {
  const hash = name === null ? "" : hashOf(name);
  if (location.hash === hash) return onAddress();
  if (name === null) {
    history.pushState(null, "", location.pathname + location.search);
    onAddress();
  } else {
    location.hash = hash;
  }
}

function write() {
  show("chat");
  openRoom.focus();
}

// --- What the reader does ---

async function create(name) {
  try {
    await rest.createTopic(name);
  } catch (error) {
    if (error.code !== "TOPIC_EXISTS") throw error;
  }
  rooms.topics?.set(name, rooms.topics.get(name) ?? 0);
  rooms.join(name);
  if (name === openRoom.name) openRoom.open(name);
  redraw();
  poll.now();
}

function leave(name) {
  rooms.leave(name);
  if (name === openRoom.name) open(null);
}

async function remove(name) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = `Delete “${name}”?`;
  byId("confirm-text").textContent =
    "Everybody in it is told, and nothing more can be said there. Other rooms are not touched.";
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "yes") return;
  try {
    await rest.deleteTopic(name);
  } catch (error) {
    if (error.code !== "TOPIC_NOT_FOUND") {
      rooms.note(name, `Not deleted: ${error.message}.`);
      return;
    }
  }
  rooms.topics?.delete(name);
  leave(name);
}

function step(by) {
  const names = [...document.querySelectorAll("#room-lists a")].map(({ title }) => title);
  if (!names.length) return;
  const at = names.indexOf(openRoom.name);
  open(names[at < 0 ? 0 : (at + by + names.length) % names.length]);
}

// --- What changes by itself ---

function isIdle() {
  return document.activeElement === document.body || document.activeElement?.id === "welcome-title";
}

let drawing = 0;

/** Lists and counts, at most twenty times a second; also in a hidden page, for its title. */
function redraw() {
  drawing ||= setTimeout(() => {
    drawing = 0;
    list.draw();
    openRoom.draw();
    showUnread();
  }, 50);
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
rooms.addEventListener("membership", () => poll.now());
rooms.addEventListener("added", ({ detail: { room, entry } }) => {
  openRoom.onAdded(room, entry);
  redraw();
});
rooms.addEventListener("entry", ({ detail: { room, entry } }) => openRoom.onChanged(room, entry));
poll.addEventListener("figures", ({ detail: { stats } }) => {
  const names = Object.keys(stats.topics).sort();
  rooms.update(new Map(names.map((name) => [name, stats.topics[name].subscribers])));
  // Opened by a link to a room that has just been created, or is known only now.
  const { name } = openRoom;
  if (name !== null && !rooms.joined.has(name) && rooms.topics.has(name)) {
    onAddress({ focus: isIdle() });
  }
});
chat.addEventListener("state", ({ detail: { state } }) => state === "open" && poll.now());
window.addEventListener("hashchange", () => onAddress());
document.addEventListener("visibilitychange", () => openRoom.markRead() && redraw());
byId("messages-scroll").addEventListener("scroll", () => openRoom.markRead() && redraw());
document.querySelector("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault();
  write();
});

shortcuts({
  room: step,
  find: () => (show("rooms"), byId("find-text").focus()),
  write,
  newest: () => openRoom.goToNewest(),
  wire: () => (show("wire"), byId("frames").focus()),
  health: () => (show("health"), byId("health").focus()),
});
onAddress({ focus: nameInAddress() !== null });
poll.start();
