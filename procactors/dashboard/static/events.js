// The turns of the actors' lives, the latest first.

import { h, setText } from "./dom.js";
import { time } from "./format.js";

export class Events {
  #items = new Map();

  constructor(store) {
    this.store = store;
    this.filter = "";
    this.list = h("ol", { class: "events" });
    this.empty = h("p", { class: "empty" });
    this.element = h("div", {}, this.list, this.empty);
    store.on("events whole", () => this.draw());
    store.on("system", () => this.#items.clear());
  }

  draw() {
    if (this.element.closest("[hidden]")) return;
    const words = this.filter.toLowerCase();
    const shown = this.store.events.filter((event) => `${event.actor} ${event.says}`.toLowerCase().includes(words)).slice(-200).reverse();
    this.list.replaceChildren(...shown.map((event) => this.#item(event)));
    this.empty.hidden = shown.length > 0;
    setText(this.empty, this.store.events.length ? "No event matches the filter." : "Nothing has happened yet.");
  }

  #item(event) {
    if (!this.#items.has(event.number)) {
      if (this.#items.size > 1000) this.#items.clear();
      this.#items.set(event.number, h("li", { "data-kind": event.kind },
        h("time", {}, time(event.at)), h("i", { class: "dot", "aria-hidden": "true" }), h("b", {}, event.actor), h("span", {}, event.says.split("\n")[0])));
    }
    return this.#items.get(event.number);
  }
}
