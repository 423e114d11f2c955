// Questions before something is done, and the list of keys.

import { $, h } from "./dom.js";

/** Ask; true if the user has confirmed. The safe answer has the focus. */
export function confirm({ title, text, yes, danger = false }) {
  const dialog = $("dialog");
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.setAttribute("aria-labelledby", "dialog-title");
    const form = h("form", { method: "dialog" },
      h("h2", { id: "dialog-title" }, title),
      h("p", {}, text),
      h("div", { class: "buttons" },
        h("button", { value: "", autofocus: true }, "Cancel"),
        h("button", { value: "yes", class: danger ? "danger" : "primary" }, yes)));
    dialog.replaceChildren(form);
    dialog.addEventListener("close", function closed() {
      // It is told behind the closing: by then the next question may be there.
      if (form.isConnected && dialog.open) return;
      dialog.removeEventListener("close", closed);
      resolve(form.isConnected && dialog.returnValue === "yes");
    });
    dialog.showModal();
  });
}

const KEYS = [
  ["/", "filter the actors"],
  ["↑ ↓", "walk through tree or table"],
  ["← →", "close, open, go up or down in the tree"],
  ["Home End", "first, last"],
  ["Enter", "show the actor"],
  ["Esc", "close what is shown, empty the filter"],
  ["g", "to the tree"],
  ["1 … 7", "to a tab; ← → between tabs"],
  ["t", "light or dark"],
  ["?", "this list"],
];

export function showKeys() {
  const dialog = $("dialog");
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.replaceChildren(h("form", { method: "dialog" },
    h("h2", { id: "dialog-title" }, "Keys"),
    h("dl", { class: "keys" }, KEYS.map(([key, does]) =>
      [h("dt", {}, key.split(" ").map((one) => (one === "…" ? " … " : h("kbd", {}, one)))), h("dd", {}, does)])),
    h("div", { class: "buttons" }, h("button", { autofocus: true, class: "primary" }, "Close"))));
  dialog.showModal();
}
