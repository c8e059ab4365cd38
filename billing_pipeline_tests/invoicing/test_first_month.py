"""Where the months that can be billed begin: known from the database, kept in a file, told by a setting."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from billing_pipeline.defs.partitions import LONG_AGO, first_partition
from billing_pipeline.invoicing.first_month import FILE, first_month, keep_first_month, kept_first_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings, SettingsError, load_settings
from billing_pipeline.settings.invoicing import InvoicingSettings
from billing_pipeline_tests.month_rows import SEPTEMBER, Event, add_customer, add_usage, at, bill, load_book

TODAY = date(2026, 11, 26)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A state folder that nobody has made yet, and no setting that says where the months begin."""
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("BILLING_FIRST_MONTH")
    return load_settings()


def _used(warehouse: Warehouse, event_id: str, when: datetime) -> None:
    add_usage(warehouse, [Event(event_id, "ann", "calls", 1, when)])


def test_nothing_is_known_of_an_empty_database(warehouse, settings):
    keep_first_month(warehouse, settings)
    assert first_month(warehouse) is None
    assert not (settings.state_dir / FILE).exists()
    assert first_partition(settings, TODAY) == LONG_AGO


@pytest.mark.parametrize(
    ("first_used", "month"),
    [
        ("2025-10-20T12:00", date(2025, 10, 1)),
        ("2025-10-01T11:59", date(2025, 9, 1)),  # still September in the zone that is furthest behind
        ("2025-10-01T12:00", date(2025, 10, 1)),
    ],
)
def test_the_months_begin_with_the_first_usage_in_whatever_zone(warehouse, settings, first_used, month):
    _used(warehouse, "later", at("2025-12-05"))
    _used(warehouse, "first", datetime.fromisoformat(first_used).replace(tzinfo=UTC))
    keep_first_month(warehouse, settings)
    assert first_partition(settings, TODAY) == month


def test_earlier_usage_moves_the_beginning_and_a_month_that_was_built_stays_in(warehouse, settings):
    _used(warehouse, "first", at("2025-12-05"))
    keep_first_month(warehouse, settings)
    assert kept_first_month(settings.state_dir) == date(2025, 12, 1)
    load_book(warehouse)
    add_customer(warehouse, "ann")
    bill(warehouse, SEPTEMBER)
    keep_first_month(warehouse, settings)
    assert kept_first_month(settings.state_dir) == SEPTEMBER
    _used(warehouse, "older", at("2025-03-05"))
    keep_first_month(warehouse, settings)
    assert kept_first_month(settings.state_dir) == date(2025, 3, 1)
    assert [path.name for path in settings.state_dir.iterdir()] == [FILE]


def test_the_setting_comes_first_and_writes_nothing(warehouse, settings):
    _used(warehouse, "first", at("2025-12-05"))
    told = replace(settings, invoicing=InvoicingSettings(date(2026, 2, 1)))
    keep_first_month(warehouse, told)
    assert not (settings.state_dir / FILE).exists()
    assert first_partition(told, TODAY) == date(2026, 2, 1)


def test_a_folder_that_cannot_be_written_fails_nothing(warehouse, settings):
    _used(warehouse, "first", at("2025-12-05"))
    settings.state_dir.write_text("a file is no folder", encoding="utf-8")
    keep_first_month(warehouse, settings)
    assert first_partition(settings, TODAY) == LONG_AGO


@pytest.mark.parametrize("content", ["", "soon", "2025-13", "2025-09-01"])
def test_a_file_that_says_no_month_is_as_none(settings, content):
    settings.state_dir.mkdir()
    (settings.state_dir / FILE).write_text(content, encoding="utf-8")
    assert kept_first_month(settings.state_dir) is None


@pytest.mark.parametrize("value", ["2025", "2025-13", "2025-1", "0000-01", "September"])
def test_a_setting_that_is_no_month_is_named(monkeypatch, value):
    monkeypatch.setenv("BILLING_FIRST_MONTH", value)
    with pytest.raises(SettingsError, match=rf"BILLING_FIRST_MONTH='{value}': expected a month such as 2026-10"):
        load_settings()


def test_a_first_month_that_lies_ahead_is_named(settings):
    told = replace(settings, invoicing=InvoicingSettings(date(2026, 12, 1)))
    with pytest.raises(SettingsError, match="BILLING_FIRST_MONTH='2026-12': expected this month or one before it"):
        first_partition(told, TODAY)
