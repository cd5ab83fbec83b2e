"""What the site has beside the pages here: settings, commands, changes, notebooks, and equations as MathML."""

from __future__ import annotations

import ast
import atexit
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import docstring_parser
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from oneshot.cli import COMMANDS, main
from oneshot.registry import METHODS

ROOT = Path(__file__).resolve().parent.parent
FIRST = ("single-path", "random-search", "darts")
"""Methods that are listed first; the others follow in the order of their registration."""


@event_priority(100)  # before what reads the sources
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation has a page of every registered method; docstrings are read where imports find their modules."""
    handlers: Any = config.plugins["mkdocstrings"].config["handlers"]
    handlers["python"]["paths"] = [as_installed(Path(tempfile.mkdtemp(prefix="oneshot-docs-")))]
    (methods,) = (part["Methods"] for part in config.nav or [] if "Methods" in part)
    methods += [f"methods/{name}.md" for name in (*FIRST, *(name for name in METHODS if name not in FIRST))]
    return config


def as_installed(folder: Path) -> str:
    """`oneshot`, with the packages that setup.cfg puts below it, as links: docstrings are read without imports."""
    (folder / "oneshot").mkdir()
    for source in [*(ROOT / "oneshot").iterdir(), ROOT / "benchmarks", ROOT / "evaluators"]:
        (folder / "oneshot" / source.name).symlink_to(source)
    atexit.register(shutil.rmtree, folder)
    return str(folder)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    written = {f"methods/{name}.md": method_page(name) for name in METHODS}
    written |= {"commands.md": "\n".join(commands()), "examples.md": "\n".join(examples())}
    written |= {f"notebooks/{path.stem}.md": notebook(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    written["changes.md"] = (ROOT / "CHANGELOG.md").read_text()
    for path, text in written.items():
        if files.get_file_from_path(path) is None:
            files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    text = re.sub(r"<!-- settings: (\S+) -->", lambda found: settings_table(METHODS[found[1]]), markdown)
    return inside(with_equations(text))


def method_page(name: str) -> str:
    """Of a method that has no page of its own: what its docstrings say."""
    kind = METHODS[name]
    about = docstring_parser.parse(kind.__doc__ or "")
    module = __import__(kind.__module__, fromlist=["__doc__"]).__doc__ or ""
    said = [module, about.short_description or "", about.long_description or ""]
    return "\n\n".join([f"# {name}", *filter(None, said), "## Settings", f"<!-- settings: {name} -->"])


def settings_table(kind: type[Any]) -> str:
    """Of a frozen dataclass: option, default, what the docstring says."""
    explained = {p.arg_name: " ".join((p.description or "").split()) for base in reversed(kind.__mro__)
                 for p in docstring_parser.parse(base.__doc__ or "").params}  # fmt: skip
    made = kind()
    rows = [
        f"| `--method.{f.name.replace('_', '-')}` | `{getattr(made, f.name)}` | {explained.get(f.name, '')} |"
        for f in fields(kind)
    ]
    return "\n".join(["| option | default | |", "|---|---|---|", *rows]) if rows else "It has none."


def commands() -> Iterator[str]:
    """The help of every command."""
    yield "# Commands\n\nWhat `oneshot COMMAND --help` says.\n"
    for name, what in COMMANDS.items():
        text = help_of(name)
        yield f"## {name}\n\n{what.capitalize()}.\n\n```text\n{text}```\n"
        actions = re.search(r"^actions:\n((?:  .*\n)+)", text, re.MULTILINE)
        for action in re.findall(r"^  (\w+)", actions[1], re.MULTILINE) if actions else ():
            yield f"### {name} {action}\n\n```text\n{help_of(name, action)}```\n"


def examples() -> Iterator[str]:
    """The scripts as they are."""
    yield "# Examples\n\nScripts of a screen each in `examples/`, on images that ship; the tests run them.\n"
    for path in sorted((ROOT / "examples").glob("*.py")):
        about, _, _ = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")
        yield f"## {path.name}\n\n{about}\n\n```python\n{path.read_text()}```\n"


def notebook(path: Path) -> str:
    """Its texts and code, which a reader runs; links between notebooks lead to such pages."""
    cells = json.loads(path.read_text())["cells"]
    shown = ["".join(cell["source"]) for cell in cells]
    code = [f"```python\n{text}\n```" if cell["cell_type"] == "code" else text.replace(".ipynb)", ".md)")
            for cell, text in zip(cells, shown, strict=True)]  # fmt: skip
    title, *rest = code[0].split("\n", 1)
    return "\n\n".join([title, f"`notebooks/{path.name}`", *rest, *code[1:]])


def help_of(*words: str) -> str:
    os.environ["COLUMNS"] = "80"
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        main([*words, "--help"])
    return printed.getvalue()


def with_equations(text: str) -> str:
    """`$$...$$` and `$...$` as MathML, which browsers draw by themselves; code stays as it is."""
    parts = re.split(r"(```.*?```|`[^`\n]*`)", text, flags=re.DOTALL)
    for i in range(0, len(parts), 2):
        displayed = re.sub(r"\$\$(.+?)\$\$", lambda f: convert(f[1], display="block"), parts[i], flags=re.DOTALL)
        parts[i] = re.sub(r"\$([^$\n]+)\$", lambda f: convert(f[1]), displayed)
    return "".join(parts)


def inside(text: str) -> str:
    """Links to notebooks lead to their pages; those to other files that are no pages become the files' names."""
    text = re.sub(r"\]\(\.\./((?:\.\./)*notebooks/\w+)\.ipynb\)", r"](\1.md)", text)
    return re.sub(r"\[[^\]]*\]\((?:\.\./)+((?:notebooks|perf|oneshot)/[^)]*)\)", r"`\1`", text)
