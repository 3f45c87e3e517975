/**
 * What the page remembers in the browser. Where storage is switched off it forgets, and works.
 *
 * @module storage
 */

function guarded(storage, action) {
  try {
    return action(globalThis[storage]);
  } catch {
    return null;
  }
}

/** The reader's own name, for all tabs. */
export const name = {
  get: () => guarded("localStorage", (storage) => storage.getItem("chatroom.name")),
  set: (value) => guarded("localStorage", (storage) => storage.setItem("chatroom.name", value)),
};

/** Whether shortcuts of a single key are on (WCAG 2.1.4 asks for a way to turn them off). */
export const singleKeys = {
  get: () => guarded("localStorage", (storage) => storage.getItem("chatroom.keys")) !== "off",
  set: (on) =>
    guarded("localStorage", (storage) => storage.setItem("chatroom.keys", on ? "on" : "off")),
};

/** The rooms that this tab has joined. */
export const joined = {
  get: () => {
    const names = guarded("sessionStorage", (storage) =>
      JSON.parse(storage.getItem("chatroom.joined") ?? "[]"),
    );
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
  },
  set: (names) =>
    guarded("sessionStorage", (storage) =>
      storage.setItem("chatroom.joined", JSON.stringify(names)),
    ),
};
