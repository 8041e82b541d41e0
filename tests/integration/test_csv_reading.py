"""CSV is read as Python's csv and spreadsheets write it, wherever its pieces are cut."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem_server.domain.csv_reading import CsvReader
from tandem_server.domain.ndjson_reading import NdjsonReader
from tandem_server.domain.records import MAX_RECORD, Record, Unreadable, UnreadableFileError

CELLS = st.text(st.sampled_from('a é😀,;\t"\n\r'), max_size=6).filter(lambda cell: "\r" not in cell.replace("\r\n", ""))
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=8)


def read(reader: CsvReader | NdjsonReader, data: bytes, size: int) -> list[Record]:
    """Return the records of *data*, fed in pieces of *size* bytes."""
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    return [*(record for piece in pieces for record in reader.feed(piece)), *reader.end()]


@given(
    rows=ROWS,
    separator=st.sampled_from(",;\t"),
    ending=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    last_line_ends=st.booleans(),
    size=st.integers(1, 40),
)
def test_what_is_written_is_read(
    rows: list[list[str]],
    separator: str,
    ending: str,
    quoting: int,
    mark: bytes,
    last_line_ends: bool,
    size: int,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=ending, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([["one", "two", "three"], *rows])
    data = mark + text.getvalue().encode()
    reader = CsvReader()
    assert read(reader, data if last_line_ends else data.removesuffix(ending.encode()), size) == [
        ["one", "two", "three"],
        *rows,
    ]
    assert reader.separator == separator


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_empty_lines_are_no_records_and_a_broken_one_spoils_no_other(size: int) -> None:
    data = b'\r\n\na;b\n\n1;"2"3\n4;5\n6;7\r8;9\n"10;";11'
    records = read(CsvReader(), data, size)
    assert [record.text if isinstance(record, Unreadable) else record for record in records] == [
        ["a", "b"],
        '1;"2"3',
        ["4", "5"],
        "6;7\r8;9",
        ["10;", "11"],
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\r\n"])
@pytest.mark.parametrize("size", [1, 7, 1 << 14])
def test_many_empty_lines_are_none_but_in_a_cell_they_stay(size: int, end: str) -> None:
    empty = end * 50
    data = f'{empty}a,b\n{empty}1,"{empty}2{empty}"\n{empty}{empty}3,4\n{empty}'
    assert read(CsvReader(), data.encode(), size) == [["a", "b"], ["1", f"{empty}2{empty}"], ["3", "4"]]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'a,b\n1,2\n3,"4\n5,6\n', "has a quote in line 3 that is not closed"),
        (b'a,b\n1,2\n3,"4' + b"\n5,6" * MAX_RECORD, "has a quote in line 3 that is not closed"),
        (b"a,b\n" + b"\n" * 100 + b'3,"4\n5,6\n', "has a quote in line 102 that is not closed"),
        (b"a,b\n1,2\n" + b"x" * 2 * MAX_RECORD, f"has a line of more than {MAX_RECORD} characters behind line 2"),
        ("a,b\n1,é\n".encode("latin-1"), "is not UTF-8 in line 2: save it as UTF-8"),
        (b"a,b\n1,\xc3", "is not UTF-8 in line 2: save it as UTF-8"),
    ],
)
def test_where_nobody_knows_any_more_what_a_record_is_reading_ends(data: bytes, why: str) -> None:
    with pytest.raises(UnreadableFileError) as raised:
        read(CsvReader(), data, 1 << 16)
    assert str(raised.value) == why


@given(st.lists(st.sampled_from(['{"a":1}', "", "  ", "é\u2028x\r", "no"])), st.integers(1, 10))
def test_ndjson_is_a_record_a_line(lines: list[str], size: int) -> None:
    records = read(NdjsonReader(), "\n".join(lines).encode(), size)
    assert records == [[line] for line in lines if line.strip()]


def test_ndjson_knows_marks_and_bounds() -> None:
    assert read(NdjsonReader(), b"\xef\xbb\xbf{}\n\xff\n{}\n", 3) == [
        ["{}"],
        Unreadable("\ufffd", "is not UTF-8"),
        ["{}"],
    ]
    with pytest.raises(UnreadableFileError):
        read(NdjsonReader(), b"{}\n" + b"x" * 2 * MAX_RECORD, 1 << 16)
