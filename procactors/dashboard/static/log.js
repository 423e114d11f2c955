// What the actors log, the latest last; read while it is looked at.

import { h, setText } from "./dom.js";
import { time } from "./format.js";

const KEPT = 2000;
const LEVELS = [["0", "all levels"], ["20", "INFO and above"], ["30", "WARNING and above"], ["40", "ERROR and above"]];

export class Log {
  #lines = [];
  #busy = false;
  #drawn = null;

  constructor(store) {
    this.store = store;
    this.filter = "";
    this.level = h("select", { "aria-label": "Level", onchange: () => this.draw() }, LEVELS.map(([value, text]) => h("option", { value }, text)));
    this.list = h("ol", { class: "log", tabindex: 0, "aria-label": "Log" });
    this.empty = h("p", { class: "empty" });
    this.element = h("div", {}, h("div", { class: "bar" }, this.level, h("span", {}, "The last lines of each actor, also while the program is stuck.")), this.list, this.empty);
    store.on("system", () => { this.#lines = []; this.draw(); });
    setInterval(() => this.#read(), 1000);
  }

  draw() {
    if (this.element.closest("[hidden]")) return;
    this.#read();
    this.#show(true);
  }

  async #read() {
    const { system } = this.store;
    if (this.#busy || !system || document.hidden || this.element.closest("[hidden]")) return;
    this.#busy = true;
    try {
      const { lines } = await this.store.get("api/log", { after: this.#lines.at(-1)?.number ?? 0 });
      if (system === this.store.system && lines.length) {
        this.#lines = [...this.#lines, ...lines].slice(-KEPT);
        this.#show();
      }
    } catch { /* the next look, or the banner, says it */ }
    this.#busy = false;
  }

  #show(anew = false) {
    const words = this.filter.toLowerCase();
    const shown = this.#lines.filter((line) =>
      line.level >= Number(this.level.value) && `${line.actor} ${line.logger} ${line.text}`.toLowerCase().includes(words)).slice(-500);
    const atEnd = anew || this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 30;
    this.list.replaceChildren(...shown.map((line) => h("li", {},
      h("time", {}, time(line.at)),
      h("b", { "data-level": line.level >= 40 ? "bad" : line.level >= 30 ? "warn" : line.level < 20 ? "low" : null }, line.level_name),
      h("small", {}, line.actor), h("span", {}, line.text))));
    this.empty.hidden = shown.length > 0;
    this.list.hidden = !shown.length;
    setText(this.empty, this.#lines.length ? "No line matches." : "Nothing has been logged by the actors.");
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }
}
