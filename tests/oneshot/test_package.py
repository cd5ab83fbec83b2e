"""What stands at the top of the package."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest

import oneshot


def test_the_version_is_that_of_the_distribution() -> None:
    assert oneshot.__version__ == metadata.version("oneshot-nas")


def test_a_table_is_opened_by_name_or_file_and_scored_against(tmp_path: Path) -> None:
    table = oneshot.table("nasbench201-digits")
    assert oneshot.table(table.path).strings == table.strings
    with pytest.raises(ValueError, match=r"found no .parquet file for 'gone'"):
        oneshot.table("gone")
    frame = pd.DataFrame({"arch": table.strings, "accuracy": table.values("digits_valid")})
    report = oneshot.score(frame, table, bootstraps=5)
    assert report.ceiling is not None
    assert report.measures == report.ceiling.measures
