// The OpenAPI description of this service, readable, without a script from elsewhere.

import { element } from "./svg.js";

const api = await (await fetch("/openapi.json")).json();
const named = (ref) => ref.split("/").at(-1);

function type(schema) {
  if (!schema) return "";
  if (schema.$ref) return named(schema.$ref);
  if (schema.anyOf) return schema.anyOf.map(type).join(" or ");
  if (schema.type === "array") return `list of ${type(schema.items)}`;
  return schema.type ?? "any";
}

function content(part) {
  const schema = part?.content?.["application/json"]?.schema;
  return schema ? type(schema) : "";
}

function operation(method, path, what) {
  const body = content(what.requestBody);
  const parameters = (what.parameters ?? []).map((p) => element("li", {}, element("code", {}, p.name), ` (${p.in}) ${type(p.schema)} ${p.description ?? ""}`));
  const answers = Object.entries(what.responses).map(([status, r]) => element("li", {}, `${status} ${content(r)}`));
  return element("section", { class: "card operation" },
    element("h2", {}, element("code", {}, `${method.toUpperCase()} ${path}`)), element("p", {}, what.description ?? what.summary ?? ""),
    ...(parameters.length ? [element("ul", {}, ...parameters)] : []), ...(body ? [element("p", {}, `takes ${body}`)] : []),
    element("ul", {}, ...answers));
}

function model([name, schema]) {
  const fields = Object.entries(schema.properties ?? {}).map(([field, s]) =>
    element("li", {}, element("code", {}, field), ` ${type(s)} ${s.description ?? ""}`));
  return element("section", { class: "card operation", id: name }, element("h2", {}, name),
    element("p", {}, schema.description ?? ""), element("ul", {}, ...fields));
}

document.getElementById("operations").append(
  ...Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods).map(([m, what]) => operation(m, path, what))),
  ...Object.entries(api.components.schemas).filter(([name]) => !name.includes("Validation")).map(model));
