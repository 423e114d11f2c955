// Crash reports and dead letters.

import { h, setText, toast } from "./dom.js";
import { confirm } from "./dialog.js";
import { things, time } from "./format.js";

export class Crashes {
  #items = new Map();

  constructor(store, select) {
    this.store = store;
    this.select = select;
    this.filter = "";
    this.list = h("div", { class: "list" });
    this.empty = h("p", { class: "empty" });
    this.element = h("div", {}, this.list, this.empty);
    store.on("crashes whole", () => this.draw());
    store.on("system", () => this.#items.clear());
  }

  draw() {
    const words = this.filter.toLowerCase();
    const shown = this.store.crashes.filter((crash) => `${crash.actor} ${crash.text}`.toLowerCase().includes(words)).reverse();
    this.list.replaceChildren(...shown.map((crash) => this.#item(crash)));
    this.empty.hidden = shown.length > 0;
    setText(this.empty, this.store.crashes.length ? "No crash matches the filter." : "No crash so far.");
  }

  #item(crash) {
    if (!this.#items.has(crash.number))
      this.#items.set(crash.number, h("details", { class: "crash" },
        h("summary", {}, h("time", {}, time(crash.at)), " ", h("b", {}, crash.actor), " ", h("span", {}, crash.says), " ",
          crash.handler ? h("code", {}, crash.handler) : null),
        h("pre", {}, crash.text),
        h("p", {}, h("button", { type: "button", onclick: () => {
          const row = this.store.byName.get(crash.actor);
          if (row) this.select(row.id, true); else toast(`${crash.actor} is over`);
        } }, "Show the actor"))));
    return this.#items.get(crash.number);
  }
}

export class Letters {
  #items = new Map();

  constructor(store) {
    this.store = store;
    this.filter = "";
    this.about = h("p", { class: "about" });
    this.list = h("div", { class: "list" });
    this.element = h("div", {}, this.about, this.list);
    store.on("letters whole", () => this.draw());
    store.on("system", () => this.#items.clear());
  }

  draw() {
    const { total, kept, letters } = this.store.letters;
    const words = this.filter.toLowerCase();
    const shown = letters.filter((letter) => `${letter.actor} ${letter.handler} ${letter.reason}`.toLowerCase().includes(words)).reverse();
    this.list.replaceChildren(...shown.map((letter) => this.#item(letter)));
    setText(this.about, total
      ? `${total} so far, ${kept} kept in memory${kept > letters.length ? `, the last ${letters.length} shown` : ""}.`
      : "No dead letter so far: each message was handled, or its caller was told.");
  }

  #item(letter) {
    if (!this.#items.has(letter.serial)) {
      const [first, ...more] = letter.reason.split("\n");
      const send = h("button", { type: "button", class: "send", disabled: !letter.has_content, title: letter.has_content ? null : "its content was lost", onclick: () => this.#requeue(letter, send) }, "Send again");
      this.#items.set(letter.serial, h("article", { class: "letter" },
        h("header", {}, h("time", {}, time(letter.at)), h("b", {}, letter.actor), h("code", {}, letter.handler),
          letter.killed ? h("span", { class: "tag bad", title: "its actor's process ended with it in hand" }, "killed its actor") : null,
          h("span", { class: "grow" }), send),
        h("p", {}, first),
        more.length ? h("details", {}, h("summary", {}, "More"), h("pre", {}, more.join("\n"))) : null,
        h("small", {}, `begun ${things(letter.deliveries, "time")}, sent by ${letter.sender || "the program"}`)));
    }
    return this.#items.get(letter.serial);
  }

  async #requeue(letter, button) {
    const risk = letter.killed ? " Its actor ended with it in hand the last time." : "";
    const wanted = await confirm({
      title: "Send this letter again?",
      text: `${letter.handler} goes to ${letter.actor} as a new message, behind what waits there.${risk}`,
      yes: "Send again", danger: letter.killed,
    });
    if (!wanted) return;
    button.disabled = true;
    try {
      toast(await this.store.act("requeue", letter.serial), "good");
    } catch (error) {
      toast(error.message, "bad");
      button.disabled = false;
    }
  }
}
