/**
 * The theme, before anything is painted; this is why it is no module. The choice is one of "auto"
 * (what the system says), "light" and "dark".
 */
(() => {
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const names = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
  const signs = { auto: "◐", light: "☀", dark: "☾" };

  function saved() {
    try {
      return localStorage.getItem("chatroom.theme") ?? "auto";
    } catch {
      return "auto"; // storage may be switched off
    }
  }

  function apply(theme) {
    root.dataset.theme = themes.includes(theme) ? theme : "auto";
  }

  function show(button) {
    button.textContent = signs[root.dataset.theme];
    button.title = names[root.dataset.theme];
    button.setAttribute("aria-label", names[root.dataset.theme]);
  }

  apply(saved());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    show(button);
    button.addEventListener("click", () => {
      apply(themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length]);
      show(button);
      try {
        localStorage.setItem("chatroom.theme", root.dataset.theme);
      } catch {
        // It holds until the page is left.
      }
    });
  });
})();
