/**
 * The editor of a raw frame, with a template for each message that a client can send.
 *
 * @module editor
 */

import { newId } from "./chatroom.js";
import { byId } from "./dom.js";

let requests = 0;

function template(type, topic) {
  requests += 1;
  const request_id = `raw-${requests}`;
  switch (type) {
    case "subscribe":
      return { type, topic, last_n: 0, request_id };
    case "unsubscribe":
      return { type, topic, request_id };
    case "publish":
      return { type, topic, message: { id: newId(), payload: { name: "Wire", text: "Hello" } }, request_id };
    default:
      return { type, request_id };
  }
}

/**
 * @param {import("./chatroom.js").ChatRoom} chat
 * @param {() => string | null} openRoom The topic that templates name.
 * @returns {(text: string) => void} Takes a text into the editor.
 */
export function editor(chat, openRoom) {
  const form = byId("editor");
  const field = byId("editor-text");
  const problem = byId("editor-problem");

  function edit(text) {
    field.value = text;
    field.focus();
    problem.textContent = "";
  }

  for (const button of form.querySelectorAll("[data-template]")) {
    button.addEventListener("click", () =>
      edit(JSON.stringify(template(button.dataset.template, openRoom() ?? "orders"), null, 2)),
    );
  }
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      chat.sendRaw(field.value);
      problem.textContent = "Sent.";
    } catch (error) {
      problem.textContent = `Not sent: ${error.message}.`;
    }
  });
  return edit;
}
