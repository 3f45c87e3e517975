/**
 * The editor for raw frames, with a template for each message that a client can send.
 *
 * @module editor
 */

import { newId } from "./chatroom.js";
import { byId, messageOf } from "./dom.js";

let requests = 0;

/**
 * @param {string} type
 * @param {string} topic
 */
function template(type, topic) {
  requests += 1;
  const request_id = `raw-${requests}`;
  switch (type) {
    case "subscribe":
      return { type, topic, last_n: 0, request_id };
    case "unsubscribe":
      return { type, topic, request_id };
    case "publish": {
      const message = { id: newId(), payload: { name: "Wire", text: "Hello" } };
      return { type, topic, message, request_id };
    }
    default:
      return { type, request_id };
  }
}

/**
 * @param {import("./chatroom.js").ChatRoom} chat
 * @param {() => string | null} openRoom Returns the topic that templates name.
 * @returns {(text: string) => void} Puts a text into the editor.
 */
export function editor(chat, openRoom) {
  const form = byId("editor", HTMLFormElement);
  const field = byId("editor-text", HTMLTextAreaElement);
  const result = byId("editor-result");

  /** @param {string} text */
  function edit(text) {
    field.value = text;
    field.focus();
    result.textContent = "";
  }

  for (const button of form.querySelectorAll("button")) {
    const type = button.dataset.template;
    if (!type) continue;
    button.addEventListener("click", () =>
      edit(JSON.stringify(template(type, openRoom() ?? "orders"), null, 2)),
    );
  }
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      chat.sendRaw(field.value);
      result.textContent = "Sent.";
    } catch (error) {
      result.textContent = `Not sent: ${messageOf(error)}.`;
    }
  });
  return edit;
}
