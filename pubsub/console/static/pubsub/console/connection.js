/**
 * Shows the state of the connection, always.
 *
 * @module connection
 */

import { byId } from "./dom.js";

const REASONS = {
  1006: "connection lost",
  1009: "a frame was too large",
  1011: "server error",
  3001: "server stopped",
  3008: "too slow",
};

/** @param {import("./chatroom.js").ChatRoom} chat */
export function showConnection(chat) {
  const pill = byId("connection");
  const text = byId("connection-text");
  const button = byId("connection-retry");
  let timer = 0;
  /** Why the connection was lost, which is more telling than why the last attempt failed. */
  let cause = null;

  function describe({ state, code, reason, retryAt }) {
    const why = REASONS[code] ?? (reason || "connection closed");
    if (state === "open") return "Connected";
    if (state === "connecting") return "Connecting…";
    if (state === "closed") return `Disconnected: ${why} (${code})`;
    const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    return `Reconnecting in ${seconds} s: ${why} (${code})`;
  }

  function show(detail) {
    clearInterval(timer);
    if (detail.state === "open") cause = null;
    if (detail.state === "waiting") {
      cause ??= { code: detail.code, reason: detail.reason };
      detail = { ...detail, ...cause };
    }
    pill.dataset.state = detail.state;
    text.textContent = describe(detail);
    button.hidden = detail.state !== "waiting" && detail.state !== "closed";
    if (detail.state !== "waiting") return;
    // Read out once, not with every second.
    timer = setInterval(() => {
      text.setAttribute("aria-live", "off");
      text.textContent = describe(detail);
    }, 1000);
  }

  chat.addEventListener("state", ({ detail }) => {
    text.setAttribute("aria-live", "polite");
    show(detail);
  });
  button.addEventListener("click", () => chat.reconnect());
  show({ state: chat.state });
}
