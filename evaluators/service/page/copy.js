// What is copied: the string, a program that asks for it, a request, a link to this very view.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export const FORMS = {
  String: (arch) => arch,
  Python: (arch) => [
    "from oneshot.evaluators.remote import RemoteEvaluator",
    "",
    `evaluator = RemoteEvaluator(${JSON.stringify(location.origin)})${token() ? "  # and token=..." : ""}`,
    `arch = evaluator.space.parse(${JSON.stringify(arch)})`,
    "print(evaluator([arch]).predicted)",
    "",
  ].join("\n"),
  curl: (arch) => [
    `curl -s ${location.origin}/v1/predictions`,
    ...(token() ? [`-H "Authorization: Bearer $TOKEN"`] : []),
    "-H 'Content-Type: application/json'",
    `-d ${quoted(JSON.stringify({ architectures: [arch] }))}`,
  ].join(" "),
  Link: () => location.href,
};

const token = () => sessionStorage.getItem("token");

// Onto the clipboard; pages from other machines without https have none but the old way.
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* not allowed: the old way */ }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("aria-label", "text to copy");
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
