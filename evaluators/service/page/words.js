// Numbers and names as people read them.

export const number = (v) => v.toLocaleString("en");

export function ordinal(n) {
  const end = n % 100 >= 11 && n % 100 <= 13 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[n % 10] ?? "th";
  return `${number(n)}${end}`;
}

const NAMES = { params: "parameters", mflops: "multiply-adds" };
export const costName = (name) => NAMES[name] ?? name.replaceAll("_", " ").replace(/ ms$/, "");

export function costText(name, value) {
  if (value === null || value === undefined) return "unknown";
  if (name === "params") return number(value);
  if (name === "mflops" && value >= 1000) return `${(value / 1000).toFixed(2)} G`;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return `${value.toFixed(digits)} ${name === "mflops" ? "M" : "ms"}`;
}

// Better than how many hundredths of what is known; never 100, as nothing is better than itself.
export function share(record, known) {
  if (known < 2) return null;
  return Math.min(Math.floor((100 * record.better_than) / (known - 1)), 100);
}

// What ranks an architecture: its accuracy, or a score; `quantity` is the score's name.
export const predicted = (row) => row.score ?? row.accuracy;
export const valueText = (row, quantity) => (quantity ? score(predicted(row)) : predicted(row).toFixed(2));
export const unit = (quantity) => (quantity ? "" : " %");
const score = (v) => v.toLocaleString("en", { maximumSignificantDigits: 6 });

export const points = (v, quantity) => `${v < 0 ? "−" : "+"}${quantity ? score(Math.abs(v)) : `${Math.abs(v).toFixed(2)} points`}`;
