// Light or dark: as the system's, unless the reader says otherwise.

const THEMES = { auto: "Theme: as the system's", light: "Theme: light", dark: "Theme: dark" };

function remembered() {
  try {
    return localStorage.getItem("kptrsim-theme") ?? "auto";
  } catch {
    return "auto";
  }
}

function setTheme(theme) {
  const known = theme in THEMES ? theme : "auto";
  document.documentElement.dataset.theme = known;
  byId("theme-button").textContent = THEMES[known];
  try {
    localStorage.setItem("kptrsim-theme", known);
  } catch {
    // A page that may not keep anything asks again.
  }
}

function nextTheme() {
  const names = Object.keys(THEMES);
  setTheme(names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length]);
}
