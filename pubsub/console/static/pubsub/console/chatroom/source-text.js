/**
 * Parts of a JSON text as they were written. Numbers are never parsed, so 99.50 stays 99.50 and a
 * 30-digit integer keeps all its digits.
 *
 * @module source-text
 */

/** A token of JSON. */
export const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/**
 * Return the source text of a member of an object. If several members have this name, the last
 * one counts.
 *
 * @param {string} text The object as valid JSON.
 * @param {string} name
 * @returns {string | undefined}
 */
export function member(text, name) {
  let depth = 0;
  let key = "";
  let start = -1;
  /** @type {string | undefined} */
  let found;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (depth === 1 && start < 0 && token[0] === '"') key = JSON.parse(token);
    else if (depth === 1 && start < 0 && token === ":") start = index + 1;
    else if (depth === 1 && (token === "," || token === "}")) {
      if (start >= 0 && key === name) found = text.slice(start, index).trim();
      start = -1;
    }
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
  }
  return found;
}

/**
 * Return the source texts of the elements of an array.
 *
 * @param {string} text The array as valid JSON.
 * @returns {string[]}
 */
export function elements(text) {
  text = text.trim();
  let depth = 0;
  let start = 1;
  /** @type {string[]} */
  const found = [];
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (depth === 1 && (token === "," || token === "]")) {
      found.push(text.slice(start, index).trim());
      start = index + 1;
    }
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
  }
  return found[0] === "" ? [] : found;
}
