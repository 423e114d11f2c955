// Light or dark: the system's choice, or the user's, before anything is drawn. No module, so that
// it runs before the first paint.
{
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const show = () => {
    root.dataset.theme = stored() ?? (system.matches ? "dark" : "light");
    window.dispatchEvent(new Event("theme"));
  };
  window.toggleTheme = () => {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", next); } catch { /* for this page alone */ }
    root.dataset.theme = next;
    window.dispatchEvent(new Event("theme"));
  };
  system.addEventListener("change", show);
  show();
}
