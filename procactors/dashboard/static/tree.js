// The supervision tree: who has started whom, and who starts whom again. Walked by the arrow keys.

import { stateBadge, stateOf } from "./badges.js";
import { arrange, h, setAttribute, setText } from "./dom.js";
import { things } from "./format.js";

export class Tree {
  #items = new Map(); // by id: the element and its parts
  #closed = new Set();
  #order = []; // what is visible, from top to bottom
  #focus = 0;

  /**
   * @param store what is known.
   * @param select called with the id of the actor that is chosen.
   */
  constructor(store, select) {
    this.store = store;
    this.select = select;
    this.element = h("div", {
      role: "tree", class: "tree", "aria-label": "Supervision tree",
      onkeydown: (event) => this.#key(event),
    });
    store.on("actors whole", () => this.#draw());
    store.on("system", () => { this.#closed.clear(); this.#focus = 0; });
  }

  show(selected) {
    this.selected = selected;
    for (const [id, item] of this.#items) setAttribute(item.element, "aria-selected", id === selected);
  }

  focus() { this.#items.get(this.#focus)?.element.focus(); }

  #draw() {
    const children = childrenOf(this.store.rows);
    const seen = [];
    const walk = (id, level) => {
      const below = children.get(id) ?? [];
      seen.push({ id, level, below: below.length });
      if (!this.#closed.has(id)) for (const child of below) walk(child, level + 1);
    };
    walk(0, 1);
    for (const id of this.#items.keys()) if (id && !this.store.rows.has(id)) this.#items.delete(id);
    this.#order = seen.map(({ id }) => id);
    if (!this.#order.includes(this.#focus)) this.#focus = 0;
    for (const place of seen) this.#fill(place);
    arrange(this.element, this.#order.map((id) => this.#items.get(id).element));
  }

  #fill({ id, level, below }) {
    const item = this.#items.get(id) ?? this.#make(id);
    const { element } = item;
    const closed = this.#closed.has(id);
    setAttribute(element, "aria-level", level);
    setAttribute(element, "aria-expanded", below ? String(!closed) : null);
    setAttribute(element, "tabindex", id === this.#focus ? 0 : -1);
    setAttribute(element, "aria-selected", id === this.selected);
    element.style.setProperty("--level", level - 1);
    setText(item.twist, below ? (closed ? "▸" : "▾") : "");
    if (!id) {
      setText(item.name, this.store.system?.name ?? "");
      setText(item.kind, "program");
      item.badge.show(this.store.ended == null ? "up" : "ended");
      return;
    }
    const row = this.store.rows.get(id);
    setText(item.name, row.name);
    setText(item.kind, row.kind === "supervisor" ? row.class : row.pooled ? "pool" : "");
    setText(item.restarts, row.restarts ? `↻ ${row.restarts}` : "");
    setAttribute(item.restarts, "title", row.restarts ? `restarted ${things(row.restarts, "time")}` : null);
    setText(item.waiting, row.mailbox ? `${row.mailbox}` : "");
    setAttribute(item.waiting, "title", row.mailbox ? `${things(row.mailbox, "message")} waiting` : null);
    item.badge.show(stateOf(row));
  }

  #make(id) {
    const item = { badge: stateBadge() };
    for (const name of ["twist", "name", "kind", "restarts", "waiting"])
      item[name] = h("span", { class: name });
    item.twist.setAttribute("aria-hidden", "true");
    item.twist.addEventListener("click", (event) => { event.stopPropagation(); this.#toggle(id); });
    const marks = h("span", { class: "marks" }, item.waiting, item.restarts, item.badge.element);
    item.element = h(
      "div",
      { role: "treeitem", onclick: () => { this.#go(id); if (id) this.select(id); } },
      item.twist, item.name, item.kind, marks,
    );
    item.element.dataset.id = id;
    this.#items.set(id, item);
    return item;
  }

  #toggle(id, closed = !this.#closed.has(id)) {
    if (closed) this.#closed.add(id); else this.#closed.delete(id);
    this.#draw();
  }

  #go(id) {
    const before = this.#items.get(this.#focus)?.element;
    if (before) before.tabIndex = -1;
    this.#focus = id;
    const { element } = this.#items.get(id);
    element.tabIndex = 0;
    element.focus();
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.#order.indexOf(this.#focus);
    const item = this.#items.get(this.#focus)?.element;
    const open = item?.getAttribute("aria-expanded");
    const up = () => {
      const level = Number(item.getAttribute("aria-level"));
      const above = this.#order.slice(0, at).reverse();
      return above.find((id) => Number(this.#items.get(id).element.getAttribute("aria-level")) < level);
    };
    const moves = {
      ArrowDown: () => this.#order[at + 1],
      ArrowUp: () => this.#order[at - 1],
      Home: () => this.#order[0],
      End: () => this.#order.at(-1),
      ArrowRight: () => (open === "false" ? void this.#toggle(this.#focus, false) : open === "true" ? this.#order[at + 1] : undefined),
      ArrowLeft: () => (open === "true" ? void this.#toggle(this.#focus, true) : up()),
      Enter: () => void (this.#focus && this.select(this.#focus, true)),
      " ": () => void (this.#focus && this.select(this.#focus, true)),
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = moves[event.key]();
    if (next !== undefined) this.#go(next);
  }
}

/** For each id, the ids below it, in start order; below 0 what the program itself has started. */
function childrenOf(rows) {
  const children = new Map();
  for (const row of rows.values()) {
    const above = [row.supervisor, row.parent].find((id) => id && rows.has(id)) ?? 0;
    if (!children.has(above)) children.set(above, []);
    children.get(above).push(row.id);
  }
  return children;
}
