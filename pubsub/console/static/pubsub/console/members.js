/**
 * Who is in the open room: the server's count, and the names of its users.
 *
 * @module members
 */

import { byId, count, element } from "./dom.js";

/** @typedef {import("./chatroom.js").Presence} Presence */

/**
 * Show who is there; nothing if it is not known.
 *
 * @param {Presence | null} presence
 */
export function showMembers(presence) {
  byId("members").hidden = !presence;
  if (!presence) return;
  const names = namesOf(presence);
  byId("members-count").textContent = `${presence.clients.toLocaleString("en")} here`;
  byId("members-names").textContent = names.join(", ");
  byId("members-list").replaceChildren(...names.map((name) => element("li", { dir: "auto" }, name)));
}

/**
 * Return the names of the users, and how many clients have none.
 *
 * @param {Presence} presence
 */
function namesOf({ members, users }) {
  if (!members) return [count(users, "user")]; // there are too many to list
  const names = members.flatMap(({ user, clients = 1 }) => {
    if (user === undefined) return [];
    return clients > 1 ? `${user} (${clients} connections)` : user;
  });
  const guests = members.length - names.length;
  names.sort((one, other) => one.localeCompare(other));
  return guests ? [...names, count(guests, "guest")] : names;
}
