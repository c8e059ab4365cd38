"""Prices: what is loaded, and whether a price book is right. Coupons."""

from dataclasses import asdict, replace
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from billing_pipeline.access.rules.permissions import Scope
from billing_pipeline.access.rules.tokens import Caller
from billing_pipeline.pricing.book_file import BookFileError, read_book_text
from billing_pipeline.pricing.discounts import Coupon, coupons, create_coupon
from billing_pipeline.pricing.loading import load_prices, plan_of
from billing_pipeline.pricing.reading import prices_loaded
from billing_pipeline.pricing.rules.price_book_words import words_of
from billing_pipeline.web.api.answers import answer
from billing_pipeline.web.api.models.changing import Done
from billing_pipeline.web.api.models.pricing import BookAsked, BookLoad, CheckedBook, CouponAsked, LoadedBook
from billing_pipeline.web.api.models.reading import Coupons, Prices
from billing_pipeline.web.api.parameters import CustomerQuery
from billing_pipeline.web.api.permission import Books, allowed, signed
from billing_pipeline.web.api.problems import problem

router = APIRouter(tags=["prices"])


@router.get("/prices", summary="Show the prices in use", responses={200: {"model": Prices}})
def show(
    request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_PRICES)], customer: CustomerQuery = None
) -> Response:
    """Books, meters and prices; with a customer: its own prices alone."""
    return answer(request, asdict(prices_loaded(warehouse, customer_id=customer)))


@router.post("/prices/check", summary="Check a price book", responses={200: {"model": CheckedBook}})
def check(
    request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_PRICES)], body: BookAsked
) -> Response:
    """What it charges, in words, and what loading it would change; or every mistake in it. Nothing is loaded."""
    try:
        plan = plan_of(warehouse, read_book_text(body.book, "book"), "book")
    except BookFileError as error:
        wrong = {"valid": False, "problems": list(error.problems), "words": [], "changes": [], "losses": [], "after": 0}
        return answer(request, wrong)
    words = [line for book in plan.file.books for line in words_of(book)]
    changes = [asdict(change) for change in plan.changes]
    shown = {"changes": changes, "losses": plan.losses, "after": plan.after}
    return answer(request, {"valid": True, "problems": [], "words": words, **shown})


@router.post("/prices", summary="Load a price book", responses={200: {"model": LoadedBook}})
def load(
    request: Request, warehouse: Books, caller: Annotated[Caller, allowed(Scope.CHANGE_PRICES)], body: BookLoad
) -> Response:
    """Runs are priced by it from now on, if the difference that was looked at is still the one."""
    try:
        file = read_book_text(body.book, "book")
    except BookFileError as error:
        errors = [{"field": "body.book", "expected": each} for each in error.problems]
        return problem(request, 422, str(error), errors=errors)
    plan = replace(plan_of(warehouse, file, body.name), after=body.after)
    loaded = load_prices(warehouse, plan, signed(caller, body.reason), replace=body.replace)
    return answer(request, asdict(loaded))


@router.get("/coupons", summary="List coupons", responses={200: {"model": Coupons}})
def coupons_(request: Request, warehouse: Books, _: Annotated[Caller, allowed(Scope.READ_PRICES)]) -> Response:
    """By their code."""
    return answer(request, {"coupons": coupons(warehouse)})


@router.post("/coupons", summary="Make a coupon", responses={200: {"model": Done}})
def create(
    request: Request, warehouse: Books, caller: Annotated[Caller, allowed(Scope.CHANGE_PRICES)], body: CouponAsked
) -> Response:
    """A code that customers are granted."""
    new = Coupon(
        body.coupon,
        body.currency,
        amount=body.amount,
        percent=body.percent,
        meters=tuple(body.meters) or None,
        description=body.description,
        periods_max=body.periods,
        redemptions_max=body.customers,
        redeem_until=body.redeem_until,
    )
    create_coupon(warehouse, new, signed(caller, body.reason))
    return answer(request, {"done": f"Coupon {body.coupon} is there.", "result": {"coupon": body.coupon}})
