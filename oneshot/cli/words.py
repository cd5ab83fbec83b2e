"""The words of a command line before its options are known: the files and plugins that they name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def expanded(words: Sequence[str]) -> list[str]:
    """The words without `--plugin FILE`, which is imported: the user named it; `--config FILE` is what the file says.

    Nested mappings of a YAML or JSON file are dotted options.
    """
    found: list[str] = []
    given = iter(words)
    for word in given:
        flag, equals, value = word.partition("=")
        if flag == "--plugin":
            _use_plugin(value if equals else next(given, ""))
        elif flag in ("--config", "--config-file", "--config_file"):
            found += _words_of(Path(value if equals else next(given, "")))
        else:
            found.append(word)
    return found


def _use_plugin(path: str) -> None:
    if not path or path.startswith("--"):
        raise ValueError(f"--plugin takes a Python file, got {path or 'nothing'}")
    from oneshot.registry import use_plugin

    use_plugin(path)


def _words_of(path: Path) -> Iterator[str]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise ValueError(
                f"{path}: expected options without YAML aliases, which can stand for more than memory holds"
            )
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is no YAML or JSON file of options: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} must hold a mapping of options, got {type(content).__name__}")

    def walk(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
        for name, value in values.items():
            if isinstance(value, Mapping):
                yield from walk(f"{prefix}{name}.", value)
            elif value is not None:
                yield f"--{prefix}{name}={value if isinstance(value, str) else json.dumps(value)}"

    return walk("", content)
