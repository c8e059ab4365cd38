"""Time zones of the IANA database, and the instant at which a local day begins."""

from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

# Files of the tz database that name no place.
_NOT_ZONES = frozenset({"Factory", "localtime", "posixrules"})


def is_timezone(name: str) -> bool:
    """Whether `name` is a zone of the IANA database, in its exact spelling (`Europe/Berlin`)."""
    return name in _zone_names()


@lru_cache(maxsize=65536)
def start_of_day(day: date, timezone: str) -> datetime:
    """The first instant of the local date `day`, in UTC.

    Where clocks skip midnight this is the moment they jump (the day starts at, say, 01:00); where midnight
    happens twice, its first time; where the whole date is skipped, the start of the next date that exists.
    """
    zone = ZoneInfo(timezone)
    midnight = datetime.combine(day, time(), zone)
    instant = midnight.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return instant
    # PEP 495: inside a gap fold=1 reads the clock after the jump, an earlier instant than fold=0. The jump is
    # between.
    before = int(midnight.replace(fold=1).timestamp()) - 1
    after = int(midnight.timestamp())
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).date() >= day:
            after = middle
        else:
            before = middle
    return datetime.fromtimestamp(after, UTC)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones()) - _NOT_ZONES
