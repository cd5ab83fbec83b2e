// Elements: `node("circle", {r: 4}, ...children)` of SVG, `element("p", {}, "text")` of HTML.

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const node = (name, attributes = {}, ...children) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

export const element = (name, attributes = {}, ...children) => filled(document.createElement(name), attributes, children);
