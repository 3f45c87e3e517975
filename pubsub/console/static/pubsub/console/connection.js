/**
 * The state of the connection, which is always visible in the header.
 *
 * @module connection
 */

import { byId } from "./dom.js";

/** @type {Record<number, string>} */
const REASONS = {
  1006: "connection lost",
  1009: "frame too large",
  1011: "server error",
  3001: "server stopped",
  3005: "token expired",
  3008: "client too slow",
  3502: "not signed in",
  3503: "disconnected by an operator",
  3504: "too many connections",
};

/** @type {Record<import("./chatroom.js").Transport, [name: string, explanation: string]>} */
const TRANSPORTS = {
  websocket: ["WebSocket", "Messages travel over a WebSocket"],
  sse: ["SSE", "No WebSocket can be opened, so messages travel as server-sent events and over REST"],
};

/** @typedef {import("./chatroom.js").StateChange} StateChange */

/** @param {StateChange} change */
function describe({ state, code = 0, reason, retryAt }) {
  const why = REASONS[code] ?? (reason || "connection closed");
  if (state === "open") return "Connected";
  if (state === "connecting") return "Connecting…";
  if (state === "closed") return `Disconnected: ${why} (${code})`;
  const seconds = Math.max(0, Math.ceil((Number(retryAt) - Date.now()) / 1000));
  return `Reconnecting in ${seconds} s: ${why} (${code})`;
}

/** @param {import("./chatroom.js").ChatRoom} chat */
export function showConnection(chat) {
  const pill = byId("connection");
  const text = byId("connection-text");
  const transport = byId("connection-transport");
  const button = byId("connection-retry");
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  /**
   * Why the connection was lost, which tells more than why the latest attempt failed.
   *
   * @type {Pick<StateChange, "code" | "reason"> | null}
   */
  let cause = null;

  /** @param {StateChange} change */
  function show(change) {
    clearInterval(timer);
    if (change.state === "open") cause = null;
    if (change.state === "waiting") {
      cause ??= { code: change.code, reason: change.reason };
      change = { ...change, ...cause };
    }
    pill.dataset.state = change.state;
    text.textContent = describe(change);
    const [name, explanation] = change.transport ? TRANSPORTS[change.transport] : ["", ""];
    transport.textContent = name;
    transport.title = explanation;
    transport.dataset.transport = change.transport;
    button.hidden = change.state !== "waiting" && change.state !== "closed";
    if (change.state !== "waiting") return;
    // Screen readers announce the change once, not every second of the countdown.
    timer = setInterval(() => {
      text.setAttribute("aria-live", "off");
      text.textContent = describe(change);
    }, 1000);
  }

  chat.addEventListener("state", ({ detail }) => {
    text.setAttribute("aria-live", "polite");
    show(detail);
  });
  button.addEventListener("click", () => chat.reconnect());
  show({ state: chat.state });
}
