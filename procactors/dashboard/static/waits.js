// Who waits for whose answer: chains, and circles, which never end by themselves.

import { stateBadge, stateOf } from "./badges.js";
import { h } from "./dom.js";
import { seconds } from "./format.js";

export class Waits {
  #drawn = "";

  constructor(store, select) {
    this.store = store;
    this.select = select;
    this.element = h("div", { class: "waits" });
    store.on("actors whole", () => this.draw());
  }

  get number() { return [...this.store.rows.values()].filter((row) => row.waiting_on).length; }

  draw() {
    if (this.element.closest("[hidden]")) return;
    const { rows, byName, circles } = this.store;
    const waiting = [...rows.values()].filter((row) => row.waiting_on);
    const inCircle = new Set(circles.flat());
    const awaited = new Set(waiting.map((row) => row.waiting_on));
    const chains = waiting
      .filter((row) => !awaited.has(row.name))
      .map((row) => chainFrom(row.name, byName, inCircle));
    const drawing = JSON.stringify([chains, circles, waiting.map((row) => [stateOf(row), row.in_hand])]);
    if (drawing === this.#drawn) return;
    this.#drawn = drawing;
    this.element.replaceChildren(
      ...circles.map((circle) => h("section", { class: "chain circle" },
        h("h3", {}, `A circle of ${circle.length}: none of them can go on`),
        this.#chain([...circle, circle[0]]))),
      ...chains.map((chain) => h("section", { class: "chain" }, this.#chain(chain))),
      waiting.length ? "" : h("p", { class: "empty" }, "Nobody waits for an answer."));
  }

  #chain(names) {
    return h("ol", {}, names.map((name) => h("li", {}, this.#name(name))));
  }

  #name(name) {
    const row = this.store.byName.get(name);
    const badge = stateBadge();
    badge.show(row ? stateOf(row) : "gone");
    const hand = row?.in_hand[0];
    return h("button", { type: "button", class: "actor", disabled: !row, onclick: () => this.select(row.id, true) },
      h("b", {}, name), badge.element,
      hand ? h("small", {}, `${hand[0]} since ${seconds(this.store.at - hand[1])}`) : null);
  }
}

/** The names from one on, each waiting for the next; up to the first that is in a circle. */
function chainFrom(name, byName, inCircle) {
  const chain = [name];
  while (!inCircle.has(chain.at(-1)) && byName.get(chain.at(-1))?.waiting_on) {
    const next = byName.get(chain.at(-1)).waiting_on;
    if (chain.includes(next)) break;
    chain.push(next);
  }
  return chain;
}
