"""How what only reads is answered: in the thread that looked up its token, its parameters checked in one step.

FastAPI describes these routes too, and would serve them, at twice what the statement behind them costs: it takes each
parameter by itself, again for each of a route's dependencies, and sends the request through another thread.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends, Path, Query
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError, create_model
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from billing_pipeline.web.api.permission import Allowed, Books
from billing_pipeline.web.api.problems import REFUSALS, problem_of

Endpoint = Callable[..., Any]


class Reads:
    """Every GET of some routers, below a prefix, as an application has them."""

    def __init__(self, app: FastAPI, routers: Iterable[APIRouter], prefix: str) -> None:
        self._app = app
        self._reads = [
            (Read(prefix + route.path, route.endpoint), route)
            for router in routers
            for route in router.routes
            if isinstance(route, APIRoute) and route.methods == {"GET"}
        ]

    def answer(self, scope: Scope) -> Response | None:
        """What a request is answered, a refusal too; None: it wants none of them. The gate has let the caller in."""
        if scope["method"] != "GET":
            return None
        for read, route in self._reads:
            match, found = read.matches(scope)
            if match is Match.FULL:
                scope.update(app=self._app, route=route, path_params=found["path_params"])
                return read.answer(Request(scope))
        return None


class Read(Route):
    """One that reads, by its path and the function that FastAPI has for it.

    Raises:
        TypeError: the function takes something that is not known here, or is no plain one that gives a response.
    """

    def __init__(self, path: str, endpoint: Endpoint) -> None:
        super().__init__(path, endpoint, methods=["GET"])
        self._takes = _Takes()
        signature = inspect.signature(endpoint, eval_str=True)
        for name, parameter in signature.parameters.items():
            if not self._takes.add(name, parameter):
                raise TypeError(f"{path}: {endpoint.__name__} takes {name}, which is read from nowhere")
        if signature.return_annotation is not Response or inspect.iscoroutinefunction(endpoint):
            raise TypeError(f"{path}: {endpoint.__name__} is no plain function that gives a response")
        self._model: type[BaseModel] = create_model("Parameters", **self._takes.fields)

    def answer(self, request: Request) -> Response:
        """What a request is answered, a refusal too."""
        try:
            return self._read(request)
        except REFUSALS as error:
            return problem_of(request, error)

    def _read(self, request: Request) -> Response:
        # who may not read is told so, whatever is wrong with the parameters
        given: dict[str, Any] = {name: allowed.caller(request) for name, allowed in self._takes.callers.items()}
        given |= dict.fromkeys(self._takes.requests, request)
        given |= dict.fromkeys(self._takes.warehouses, request.state.warehouse)
        response: Response = self.endpoint(**given, **dict(self._parameters(request)))
        return response

    def _parameters(self, request: Request) -> BaseModel:
        try:
            return self._model.model_validate({**request.query_params, **request.path_params})
        except ValidationError as error:
            places = self._takes.places
            errors = error.errors(include_url=False)
            raise RequestValidationError(
                [{**each, "loc": (places[str(each["loc"][0])], *each["loc"])} for each in errors]
            ) from None


@dataclass
class _Takes:
    """What a function takes, by the names of its parameters."""

    requests: list[str] = field(default_factory=list)
    warehouses: list[str] = field(default_factory=list)
    callers: dict[str, Allowed] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    """Name in the request -> path or query."""

    def add(self, name: str, parameter: inspect.Parameter) -> bool:
        """Take a parameter in; False: it is of none of these kinds."""
        hint = parameter.annotation
        if hint is Request:
            self.requests.append(name)
        elif hint == Books:
            self.warehouses.append(name)
        else:
            match get_args(hint)[1:] if get_origin(hint) is Annotated else ():
                case (Depends(dependency=Allowed() as allowed),):
                    self.callers[name] = allowed
                case (Path() | Query() as described,):
                    self.fields[name] = (hint, ... if parameter.default is parameter.empty else parameter.default)
                    self.places[described.alias or name] = described.in_.value
                case _:
                    return False
        return True
