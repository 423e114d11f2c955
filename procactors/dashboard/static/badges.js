// An actor's state as a mark: a dot with a colour, and always the word.

import { h, setText } from "./dom.js";

/** The word for a row's state; a stopped process counts more than what it was at. */
export const stateOf = (row) => (row.suspended ? "suspended" : row.state);

export function stateBadge() {
  const word = h("span");
  const element = h("span", { class: "state" }, h("i", { class: "dot" }), word);
  return {
    element,
    show(state) {
      if (element.dataset.state !== state) element.dataset.state = state;
      setText(word, state);
    },
  };
}

/** Whether a row has every word of a filter in its name, class, state or handler. */
export function matches(row, filter) {
  if (!filter) return true;
  const handlers = row.in_hand.map(([handler]) => handler).join(" ");
  const text = `${row.name} ${row.class} ${stateOf(row)} ${handlers} ${row.pid ?? ""}`.toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
