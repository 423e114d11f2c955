// Making elements. Text goes in as text: names and messages come from anywhere.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: attributes by name, listeners as `onclick`, properties as `.value`. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Make an element of a drawing. */
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith(".")) element[name.slice(1)] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Set a text only if it is another one: nothing is laid out anew for the same. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Bring the children of a parent into an order, moving no more than is out of place. */
export function arrange(parent, children) {
  let at = parent.firstChild;
  for (const child of children) {
    if (child === at) at = at.nextSibling;
    else parent.insertBefore(child, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** A short word that passes: what came of an action. */
export function toast(text, kind = "") {
  const element = h("p", { class: `toast ${kind}` }, text);
  $("toasts").append(element);
  setTimeout(() => element.remove(), kind === "bad" ? 12000 : 6000);
}
