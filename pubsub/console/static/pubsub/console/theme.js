/**
 * Applies the theme before the first paint, which is why this script is not a module. The theme is
 * "auto" (the system's preference), "light" or "dark".
 */
(() => {
  /** @typedef {"auto" | "light" | "dark"} Theme */
  const root = document.documentElement;
  /** @type {Record<Theme, {label: string, sign: string, next: Theme}>} */
  const themes = {
    auto: { label: "Theme: system", sign: "◐", next: "light" },
    light: { label: "Theme: light", sign: "☀", next: "dark" },
    dark: { label: "Theme: dark", sign: "☾", next: "auto" },
  };

  function saved() {
    try {
      const theme = localStorage.getItem("chatroom.theme");
      return theme === "light" || theme === "dark" ? theme : "auto";
    } catch {
      return "auto"; // storage may be disabled
    }
  }

  /** @type {Theme} */
  let theme = saved();
  root.dataset.theme = theme;

  /** @param {HTMLElement} button */
  function show(button) {
    const { label, sign } = themes[theme];
    button.textContent = sign;
    button.title = label;
    button.setAttribute("aria-label", label);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    show(button);
    button.addEventListener("click", () => {
      theme = themes[theme].next;
      root.dataset.theme = theme;
      show(button);
      try {
        localStorage.setItem("chatroom.theme", theme);
      } catch {
        // Without storage, the choice lasts until the page is left.
      }
    });
  });
})();
