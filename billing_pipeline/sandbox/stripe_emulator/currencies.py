"""Stripe's currency rules: which exist, in which steps an amount may be charged, and the smallest charge.

Sources: https://docs.stripe.com/currencies (zero- and three-decimal currencies, special cases, minimum
charges).
"""

from __future__ import annotations

from .errors import invalid

_CODES = """
usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd
cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd
hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl
mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr
pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd
tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
"""
SUPPORTED = frozenset(_CODES.split())

_STEP_MINOR = {"bhd": 10, "jod": 10, "kwd": 10, "omr": 10, "tnd": 10, "isk": 100, "ugx": 100}
_MINIMUM_MINOR = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
    # Stripe converts its minimum for the rest; a fixed round equivalent keeps the emulator deterministic
    "bhd": 190, "bif": 1500, "clp": 500, "djf": 90, "gnf": 4500, "isk": 7000, "jod": 360, "kmf": 230,
    "krw": 700, "kwd": 160, "mga": 2300, "omr": 200, "pyg": 3800, "rwf": 720, "tnd": 1500, "ugx": 190000,
    "vnd": 13000, "vuv": 60, "xaf": 300, "xof": 300, "xpf": 55,
}  # fmt: skip
CHARGE_MAX_MINOR = 99_999_999


def known(currency: str, param: str = "currency") -> str:
    """The currency in lower case, or a 400 in Stripe's words."""
    code = currency.lower()
    if code not in SUPPORTED:
        raise invalid(f"Invalid currency: {code}. Stripe currently supports these currencies: usd, eur, …", param=param)
    return code


def check_step(amount_minor: int, currency: str, param: str) -> None:
    """Three-decimal amounts end in 0, those in ISK and UGX in 00, or a 400."""
    step = _STEP_MINOR.get(currency, 1)
    if amount_minor % step:
        raise invalid(f"Invalid amount: {amount_minor} must be divisible by {step} in {currency}.", param=param)


def minimum_minor(currency: str) -> int:
    """The smallest amount Stripe charges, in minor units."""
    return _MINIMUM_MINOR.get(currency, 50)
