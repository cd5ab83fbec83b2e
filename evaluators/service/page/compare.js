// Two architectures beside each other: drawings, numbers, and the decisions in which they differ.

import { sketch } from "./sketch.js";
import { element } from "./svg.js";
import { costName, costText, ordinal, points, predicted, unit, valueText } from "./words.js";

const ends = (record) => record.interval.map((v) => v.toFixed(1)).join(" to ");

// `one` and `other` are { record, described }; `quantity` names a score, which has no interval.
export function sideBySide(space, one, other, quantity) {
  const both = [one, other];
  const row = (name, ...cells) => element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell)));
  const rows = [
    row("rank", ...both.map(({ record }) => ordinal(record.rank))),
    row(quantity ?? "in the supernet", ...both.map(({ record }) => valueText(record, quantity) + unit(quantity))),
    ...(quantity ? [] : [row("95% interval", ...both.map(({ record }) => ends(record)))]),
    ...(both.some(({ record }) => record.truth !== null)
      ? [row("measured", ...both.map(({ record }) => (record.truth === null ? "unknown" : `${record.truth.toFixed(2)} %`)))] : []),
    ...Object.keys(one.described.cost).map((name) => row(costName(name), ...both.map(({ described }) => costText(name, described.cost[name])))),
    ...space.decisions.flatMap((decision, place) => {
      const [a, b] = both.map(({ record }) => decision.options[record.indices[place]]);
      return a === b ? [] : [row(decision.name, a, b)];
    }),
  ];
  const head = element("tr", {}, element("td", {}), ...both.map(({ described }, i) =>
    element("th", { scope: "col" }, sketch(space, described), i ? "this one" : "kept")));
  return [element("p", { class: "verdict" }, verdict(one.record, other.record, quantity)),
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))];
}

function verdict(kept, now, quantity) {
  if (kept.arch === now.arch) return "Choose another architecture to see both.";
  const by = predicted(now) - predicted(kept);
  if (!by) return "Both are predicted alike.";
  if (quantity) return `This one: ${points(by, quantity)} in ${quantity}.`;
  const apart = kept.interval[1] < now.interval[0] || now.interval[1] < kept.interval[0];
  return `This one: ${points(by)} in the supernet; the 95% intervals ${apart ? "lie apart" : "overlap, so that it may be chance"}.`;
}
