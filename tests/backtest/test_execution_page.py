"""The page is true: every example of docs/execution.md is run."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_every_example_of_the_page_gives_what_it_says() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "execution.md"
    result = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 20
    assert result.failed == 0
