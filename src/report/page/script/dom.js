// Elements. Text only ever becomes text nodes.

const byId = (id) => document.getElementById(id);

function add(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

const el = (tag, attributes = {}, ...children) => add(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  add(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// Puts children in the place of those that were there.
const fill = (element, ...children) => {
  element.replaceChildren();
  return add(element, {}, children);
};

// Scrolls a container so that an element inside it can be seen; leaves the page where it is.
function reveal(container, element) {
  const outer = container.getBoundingClientRect();
  const inner = element.getBoundingClientRect();
  const margin = Math.min(60, outer.height / 4);
  if (inner.top < outer.top + margin) container.scrollTop -= outer.top + margin - inner.top;
  else if (inner.bottom > outer.bottom - margin) container.scrollTop += inner.bottom - outer.bottom + margin;
}
