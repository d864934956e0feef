"""Csv files from elsewhere: rows that do not fit their header."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multisk.errors import InputError
from multisk.published.tables import read_csv

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS)))
def test_what_csv_writes_comes_back(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("start", "end", "text"), *rows])
    (tmp_path / "a.csv").write_bytes(buffer.getvalue().encode())
    assert list(read_csv(tmp_path / "a.csv").itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("video_id,sentence", "video10,a, b, c", ["video10", "a, b, c"]),
        ("start,end,text", '1,2,"a, b"', ["1", "2", "a, b"]),
        ("key,text,video_id", "k,a,b,video1", ["k", "a,b", "video1"]),
        ("start,end,text", "1,2,a,,", ["1", "2", "a"]),
        ("start,end,text", "1,2", ["1", "2", ""]),
        ("path,other", "a,b,c", ["", ""]),
        ("text,sentence", "a,b,c", ["", ""]),
        ("text,end,text", "a,b,c", ["a", "b"]),
    ],
)
def test_rows_that_do_not_fit(tmp_path: Path, header: str, row: str, expected: list[str]) -> None:
    other = ",".join("x" for _ in header.split(","))
    for rows in ([row, other], [other, row]):
        (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
        table = read_csv(tmp_path / "a.csv")
        assert list(table) == list(dict.fromkeys(header.split(",")))
        assert table.iloc[rows.index(row)].tolist() == expected
        assert table.iloc[rows.index(other)].tolist() == ["x"] * len(expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b'text\na\n"b\nc\n', "a quotation mark is never closed"),
        (b"text\n\xff\n", "codec can't decode"),
        (b"text\n" + b"a" * 200_000, "field larger than"),
        (b"other\na\n", "text: no such column; expected text"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.csv: .*{reason}"):
        read_csv(tmp_path / "a.csv", ("text",))


def test_a_mark_at_the_beginning_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text\r\na\r\n\r\nb".encode("utf-8-sig"))
    assert read_csv(tmp_path / "a.csv", ("text",))["text"].tolist() == ["a", "b"]
