/**
 * The REST endpoints.
 *
 * @module rest
 */

/** Milliseconds that an answer may take. */
const TIMEOUT = 10_000;

const base = new URL(document.documentElement.dataset.rest, location.href);

async function request(method, path, body) {
  const init = { method, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) };
  if (body) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  let response, answer;
  try {
    response = await fetch(new URL(path, base), init);
    answer = await response.json();
  } catch {
    throw new Error(response ? `HTTP ${response.status}` : "the server does not answer");
  }
  if (response.ok) return answer;
  const error = new Error(answer.error?.message ?? `HTTP ${response.status}`);
  throw Object.assign(error, { code: answer.error?.code });
}

function path(name) {
  // URL parsers take these for steps in the path, also when they are percent-encoded.
  if (name === "." || name === "..") throw new Error("no browser can address a room of this name");
  return `topics/${encodeURIComponent(name)}`;
}

export const health = () => request("GET", "health");
export const stats = () => request("GET", "stats");
export const createTopic = (name) => request("POST", "topics", { name });
export const deleteTopic = async (name) => request("DELETE", path(name));
