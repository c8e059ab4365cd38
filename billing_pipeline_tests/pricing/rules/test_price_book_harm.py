"""Price books built to do harm, or broken beyond reading: one line with the path, at once and in little memory."""

import os
import time
import tracemalloc

import pytest

from billing_pipeline.pricing.book_file import BookFileError, read_book_file
from billing_pipeline.pricing.rules.price_book import PriceBookError, load_price_books
from billing_pipeline.pricing.rules.price_book_yaml import TEXT_MAX

BOOK = """
name: {name}
currency: usd
meters:
  api_calls: {{aggregation: sum, unit: call}}
versions:
  - id: "1"
    effective_from: 2026-01-01
    prices:
      - {{meter: api_calls, model: per_unit, unit_amount: "0.10", description: {description}}}
"""


def said(text: str) -> tuple[str, ...]:
    with pytest.raises(PriceBookError) as caught:
        load_price_books(text, "book.yaml")
    return caught.value.problems


@pytest.mark.parametrize("levels", [7, 9, 30])
def test_aliases_of_aliases_are_refused_within_a_second_and_200_mb(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    text = "\n".join(lines)
    tracemalloc.start()
    started = time.process_time()
    [problem] = said(text)
    # tracing costs several times the work itself
    assert time.process_time() - started < 8
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()
    assert problem.startswith("a")
    assert problem.endswith("expected at most 200,000 values, with all aliases")


@pytest.mark.parametrize("escape", [r"\0", r"\x07", r"\x85", r"\ud800", r"\x7f"])
def test_control_characters_and_halves_of_a_pair_are_named_with_their_path(escape):
    wrong = "a control character or half a surrogate pair"
    assert f"name: {wrong} (line 2)" in said(BOOK.format(name=f'"a{escape}b"', description="fine"))
    path = "versions[0].prices[0].description"
    assert f"{path}: {wrong} (line 10)" in said(BOOK.format(name="n", description=f'"a{escape}b"'))


def test_a_key_with_a_control_character_or_without_end_is_refused():
    for key in (r"a\0b", "k" * 300):
        [problem, *_] = said(BOOK.format(name="n", description="fine") + f'"{key}": 1\n')
        assert problem == "a key must be 1 to 255 printable characters (line 11)"


def test_a_document_without_end_is_refused_before_it_is_parsed():
    started = time.process_time()
    assert said("x: 1\n" * (TEXT_MAX // 5 + 1)) == (f"longer than {TEXT_MAX:,} characters, which no price book is",)
    assert time.process_time() - started < 1


def test_a_thousand_mistakes_are_a_hundred_lines():
    text = BOOK.format(name="n", description="fine") + "\n".join(f"unknown{n}: !!binary x" for n in range(1000))
    assert len(said(text)) == 100


def test_text_that_fills_lines_stays_as_it_is():
    [book] = load_price_books(BOOK.format(name="n", description='"a tab\\tand é"'), "book.yaml")
    assert book.versions[0].prices[0].description == "a tab\tand é"


def test_a_file_that_is_none_or_no_utf8_is_one_line(tmp_path):
    pipe, latin = tmp_path / "pipe.yaml", tmp_path / "latin.yaml"
    os.mkfifo(pipe)
    latin.write_bytes("name: é".encode("latin-1"))
    for path, expected in ((pipe, "expected a regular file"), (latin, "not UTF-8: the byte 0xe9 at position 6")):
        with pytest.raises(BookFileError) as caught:
            read_book_file(path)
        assert str(path) in str(caught.value)
        assert expected.removeprefix("expected ") in str(caught.value)
        assert "\n" not in str(caught.value)
