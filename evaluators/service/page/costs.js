// Accuracy in the supernet against what a network costs, with the front that nothing undercuts; every point can be chosen.

import { BOTTOM, H, LEFT, RIGHT, TOP, W, axes, scale, ticks } from "./figures.js";
import { node } from "./svg.js";
import { costName, costText, predicted, unit as unitOf, valueText } from "./words.js";

const NEAR = 22; // units within which a click means a point
const WORST = 20; // a twentieth, the worst, may lie below the axis

// `chosen` is a prediction with the cost of what is shown; `pick` is told the string of a point; `quantity` names a score.
export function front(data, name, chosen, pick, quantity) {
  const what = quantity ?? "accuracy in the supernet", text = (i) => valueText({ score: data.predicted[i] }, quantity) + unitOf(quantity);
  const costs = data.costs[name], own = chosen?.cost?.[name];
  const known = data.archs.map((_, i) => i).filter((i) => costs[i] !== null);
  const [x, xs] = span([...known.map((i) => costs[i]), ...(own ? [own] : [])], LEFT, W - RIGHT);
  const falling = known.map((i) => data.predicted[i]);
  const kept = [falling[0], falling[Math.min(falling.length - 1, Math.floor(falling.length * (1 - 1 / WORST)))], ...(chosen ? [predicted(chosen)] : [])];
  const [y, ys, least] = span(kept, H - BOTTOM, TOP);
  const unit = name === "params" ? "" : name === "mflops" ? ", millions of an image" : ", ms";
  const svg = axes(`${what} against ${costName(name)}`, xs, ys, x, y, costName(name) + unit, quantity ?? "accuracy in the supernet, %");
  svg.setAttribute("role", "group");
  const places = new Map();
  for (const i of known) {
    if (data.predicted[i] < least) continue;
    places.set(i, [x(costs[i]), y(data.predicted[i])]);
    svg.append(node("circle", { class: "point", cx: x(costs[i]), cy: y(data.predicted[i]), r: 2.8 }));
  }
  const best = data.fronts[name].filter((i) => places.has(i));
  svg.append(node("polyline", { class: "front", points: stairs(best.map((i) => places.get(i))) }));
  const buttons = best.map((i) => node("circle", {
    class: "front-point", cx: places.get(i)[0], cy: places.get(i)[1], r: 4.5, role: "button", tabindex: -1,
    "aria-label": `${text(i)}, ${costText(name, costs[i])} ${costName(name)}`,
  }, node("title", {}, `${text(i)}, ${costText(name, costs[i])}`)));
  svg.append(...buttons);
  if (chosen && own !== null && own !== undefined) svg.append(node("circle", { class: "chosen", cx: x(own), cy: y(predicted(chosen)), r: 6.5 }));
  walk(buttons, (place) => pick(data.archs[best[place]]));
  svg.addEventListener("click", (event) => {
    const at = nearest(places, svg, event);
    if (at !== null) pick(data.archs[at]);
  });
  return { svg, below: known.length - places.size, best: best.length };
}

// One of the buttons takes part in the tab order; arrows go on from it.
function walk(buttons, press) {
  if (buttons.length) buttons[0].setAttribute("tabindex", 0);
  buttons.forEach((button, place) => button.addEventListener("keydown", (event) => {
    const step = { ArrowRight: -1, ArrowUp: -1, ArrowLeft: 1, ArrowDown: 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") press(place);
    else if (step && buttons[place + step]) {
      button.setAttribute("tabindex", -1);
      buttons[place + step].setAttribute("tabindex", 0);
      buttons[place + step].focus();
    } else if (!step) return;
    event.preventDefault();
  }));
}

function nearest(places, svg, event) {
  const box = svg.getBoundingClientRect(), zoom = W / box.width;
  const [px, py] = [(event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom];
  let found = null, least = NEAR * Math.max(zoom, 1);
  for (const [i, [x, y]] of places) {
    const far = Math.hypot(x - px, y - py);
    if (far < least) [found, least] = [i, far];
  }
  return found;
}

// From the cheapest to the best: a step to the side, then up.
function stairs(places) {
  const rising = [...places].reverse(), corners = [];
  rising.forEach(([x, y], i) => { if (i) corners.push([x, rising[i - 1][1]]); corners.push([x, y]); });
  return corners.map((corner) => corner.join(",")).join(" ");
}

function span(values, from, to) {
  const low = Math.min(...values), high = Math.max(...values), margin = 0.05 * (high - low) || 0.5;
  return [scale(low - margin, high + margin, from, to), ticks(low, high), low - margin];
}
