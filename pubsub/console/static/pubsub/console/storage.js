/**
 * What the page remembers in the browser. Where storage is disabled, the page works without it.
 *
 * @module storage
 */

/**
 * @template Result
 * @param {"localStorage" | "sessionStorage"} area
 * @param {(storage: Storage) => Result} action
 * @returns {Result | null}
 */
function guarded(area, action) {
  try {
    return action(globalThis[area]);
  } catch {
    return null;
  }
}

/** The user's name, shared by all tabs. */
export const name = {
  get: () => guarded("localStorage", (storage) => storage.getItem("chatroom.name")),
  /** @param {string} value */
  set: (value) => guarded("localStorage", (storage) => storage.setItem("chatroom.name", value)),
};

/** Whether single-key shortcuts are on (WCAG 2.1.4 requires a way to turn them off). */
export const singleKeys = {
  get: () => guarded("localStorage", (storage) => storage.getItem("chatroom.keys")) !== "off",
  /** @param {boolean} on */
  set: (on) =>
    guarded("localStorage", (storage) => storage.setItem("chatroom.keys", on ? "on" : "off")),
};

/** The rooms that this tab has joined. */
export const joined = {
  /** @returns {string[]} */
  get: () => {
    /** @type {unknown} */
    const names = guarded("sessionStorage", (storage) =>
      JSON.parse(storage.getItem("chatroom.joined") ?? "[]"),
    );
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
  },
  /** @param {string[]} names */
  set: (names) =>
    guarded("sessionStorage", (storage) =>
      storage.setItem("chatroom.joined", JSON.stringify(names)),
    ),
};
