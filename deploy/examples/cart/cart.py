#!/usr/bin/env python3
"""A shopping cart on Gyre: the web backend and its one page.

    cart.py --gyre 127.0.0.1:7100,127.0.0.1:7101 --listen 127.0.0.1:8080 --stubs build/stubs

    GET  /                      the page
    GET  /api/search?q=         packages of the catalogue by name
    GET  /api/package/{name}    one package, and which replicas answered
    GET  /api/cart/{id}         a cart
    POST /api/cart/{id}/add     {"package", "quantity", "tag"?}
    POST /api/cart/{id}/remove  {"package", "tags"?}
    GET  /healthz               that this process serves
    GET  /api/status            the nodes, the index and the requests so far

An add with a `tag` (cart_document.py) is taken once, however often it is sent. A removal with
`tags` takes what its sender saw; without, all of that package. Errors are
{"error": {"code", "message"}} with 4xx for what the caller can mend and 503 with Retry-After for
what time can.

Prints one line with its address when it is ready, and ends within seconds on SIGTERM.
"""

import argparse
import asyncio
import concurrent.futures
import logging
import math
import re
import socket
import sys
import threading
from pathlib import Path

import fastapi
import pydantic
import uvicorn
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import cart_document
import stubs
from cart_document import Add, Tag
from cart_store import CartStore, View, WrongTable
from gyre_client import Answer, GyreClient, StoreError, StoreUnavailable, UnknownTable
from http_guard import HttpGuard, error_body
from name_index import NameIndex

CATALOGUE = "catalogue"
PAGE = Path(__file__).resolve().parent / "page"
FOUND_AT_MOST = 24
MAX_QUERY = 100
MAX_PACKAGE = 255
CART_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
STATUS_WITHIN_S = 0.7
FIRST_SCAN_WITHIN_S = 10.0

log = logging.getLogger("cart")


class AddBody(pydantic.BaseModel):
    package: str = pydantic.Field(min_length=1, max_length=MAX_PACKAGE)
    quantity: pydantic.conint(strict=True, ge=1, le=cart_document.MAX_QUANTITY) = 1
    tag: str | None = pydantic.Field(None, max_length=40)


class RemoveBody(pydantic.BaseModel):
    package: str = pydantic.Field(min_length=1, max_length=MAX_PACKAGE)
    tags: list[str] | None = pydantic.Field(None, max_items=cart_document.MAX_LINES * 10)


def build_app(client: GyreClient) -> fastapi.FastAPI:
    """The application on a cluster; its index is filled by whoever runs it (`app.state.index`)."""
    app = fastapi.FastAPI(title="Gyre cart", docs_url=None, redoc_url=None)
    app.state.index = NameIndex(client, CATALOGUE)
    app.add_middleware(HttpGuard)
    _answer_errors(app)
    _serve_catalogue(app, client, app.state.index)
    _serve_carts(app, client, CartStore(client), app.state.index)
    _serve_status(app, client, app.state.index)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


# --- The catalogue ------------------------------------------------------------------------------


def _serve_catalogue(app: fastapi.FastAPI, client: GyreClient, index: NameIndex) -> None:
    @app.get("/api/search")
    def search(q: str = fastapi.Query("", max_length=MAX_QUERY)):
        if index.snapshot.scanned_at is None:
            return _not_yet("the catalogue is being read for the first time")
        found = index.search(q, FOUND_AT_MOST)
        return {"query": q, "total": found.total, "indexed": len(index.snapshot.names),
                "packages": _summaries(client, found.names)}

    @app.get("/api/package/{name}")
    def package(name: str = fastapi.Path(max_length=MAX_PACKAGE)):
        answer = client.get(CATALOGUE, name.encode(), explain=True)
        if not answer.reply.found:
            return _error(404, "no_such_package", f"the catalogue has no package {name!r}")
        stanza = answer.reply.values[0].decode("utf-8", "replace")
        return {"package": name, "stanza": stanza, "fields": fields_of(stanza),
                "answers": [_answer_json("read", answer)]}


def _summaries(client: GyreClient, names: list[str]) -> list[dict]:
    """What a list of results shows of each package; names alone while the store cannot be read."""
    if not names:
        return []
    try:
        items = client.multi_get(CATALOGUE, [name.encode() for name in names])
    except StoreError as error:
        log.warning("search without summaries: %s", error)
        return [{"package": name} for name in names]
    summaries = []
    for name, item in zip(names, items):
        summary = {"package": name}
        if item.get.found:
            fields = fields_of(item.get.values[0].decode("utf-8", "replace"))
            summary |= {"version": fields.get("Version", ""), "section": fields.get("Section", ""),
                        "summary": fields.get("Description", "").partition("\n")[0]}
        elif item.HasField("status"):
            log.warning("search without the summary of %s: %s", name, item.status.message)
        summaries.append(summary)
    return summaries


def fields_of(stanza: str) -> dict[str, str]:
    """The fields of a Debian control stanza; a continuation line loses its leading space."""
    fields: dict[str, str] = {}
    name = None
    for line in stanza.splitlines():
        if line[:1] in (" ", "\t"):
            if name is not None:
                fields[name] += "\n" + line[1:]
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    return fields


# --- Carts --------------------------------------------------------------------------------------


def _serve_carts(app: fastapi.FastAPI, client: GyreClient, store: CartStore,
                 index: NameIndex) -> None:
    cart_id = fastapi.Path(regex=f"^{CART_ID.pattern}$")

    @app.get("/api/cart/{id}")
    def read(id: str = cart_id):
        return _cart_json(id, store.read(id))

    @app.post("/api/cart/{id}/add")
    def add(body: AddBody, id: str = cart_id):
        tag = Tag.parse(body.tag) if body.tag is not None else None
        if not index.holds(body.package) and not _exists(client, body.package):
            return _error(404, "no_such_package", f"the catalogue has no package {body.package!r}")
        return _cart_json(id, store.add(id, Add(body.package, body.quantity), tag))

    @app.post("/api/cart/{id}/remove")
    def remove(body: RemoveBody, id: str = cart_id):
        tags = None if body.tags is None else [Tag.parse(tag) for tag in body.tags]
        return _cart_json(id, store.remove(id, body.package, tags))


def _exists(client: GyreClient, package: str) -> bool:
    return client.get(CATALOGUE, package.encode()).reply.found


def _cart_json(cart_id: str, view: View) -> dict:
    lines = view.cart.lines()
    answers = [_answer_json("read", view.read)]
    if view.write is not None:
        answers.append(_answer_json("write", view.write))
    return {
        "cart": cart_id,
        "lines": [{"package": line.package, "quantity": line.quantity,
                   "tags": [str(tag) for tag in line.tags]} for line in lines],
        "quantity": sum(line.quantity for line in lines),
        "siblings": view.siblings,
        "answers": answers,
    }


def _answer_json(operation: str, answer: Answer) -> dict:
    """Which replicas took part in a request, and how."""
    info = answer.reply.info
    part_name = info.replicas[0].DESCRIPTOR.fields_by_name["part"].enum_type.values_by_number \
        if info.replicas else {}
    return {
        "operation": operation, "served_by": answer.address, "attempts": answer.attempts,
        "coordinator": info.coordinator, "epoch": info.epoch, "needed": info.needed,
        "answered": info.answered, "repair_sent": info.repair_sent,
        "replicas": [{"node": part.node, "micros": part.micros,
                      "part": part_name[part.part].name.removeprefix("PART_").lower()}
                     for part in info.replicas],
    }


# --- Status -------------------------------------------------------------------------------------


def _serve_status(app: fastapi.FastAPI, client: GyreClient, index: NameIndex) -> None:
    asking = concurrent.futures.ThreadPoolExecutor(8, "status")
    names: dict[str, str] = {}  # address -> node, as last seen

    def node_json(address: str) -> dict:
        try:
            status = client.status_of(address, STATUS_WITHIN_S)
        except StoreError as error:
            return {"address": address, "node": names.get(address, address), "reachable": False,
                    "why": error.code.name}
        names[address] = status.node
        return {"address": address, "reachable": True, "node": status.node, "zone": status.zone,
                "state": status.state, "epoch": status.epoch, "uptime_s": status.uptime_s,
                "missing_dots": status.missing_dots, "version": status.version}

    @app.get("/healthz")
    def health():
        return {"status": "serving"}

    @app.get("/api/status")
    def status():
        snapshot = index.snapshot
        return {
            "nodes": list(asking.map(node_json, client.addresses)),
            "index": {"packages": len(snapshot.names), "partitions": snapshot.partitions,
                      "incomplete_partitions": snapshot.incomplete,
                      "scanned_at": snapshot.scanned_at, "truncated": snapshot.truncated},
            "requests": vars(client.counters),
        }


# --- Errors -------------------------------------------------------------------------------------


def _error(status: int, code: str, message: str, retry_after_s: float = 0.0) -> JSONResponse:
    headers = {"Retry-After": str(math.ceil(retry_after_s))} if retry_after_s else None
    return JSONResponse(error_body(code, message), status, headers)


def _not_yet(message: str) -> JSONResponse:
    return _error(503, "not_ready", message, retry_after_s=2.0)


def _answer_errors(app: fastapi.FastAPI) -> None:
    """The one place where errors become responses."""
    def wrong_request(_, error: RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])  # after "body", "query" or "path"
        return _error(400, "invalid_request", f"{where}: {first['msg']}" if where else first["msg"])

    def unavailable(_, error: StoreUnavailable):
        log.warning("%s", error)
        message = "the store cannot be reached in time"
        if error.outcome_unknown:
            message += "; what was asked may have happened: send it again"
        return _error(503, "store_unavailable", message, error.retry_after_s)

    def failed(_, error: Exception):
        log.error("%s", error)
        return _error(500, "store_refused", str(error))

    answers = {
        RequestValidationError: wrong_request,
        cart_document.BadTag: lambda _, error: _error(400, "invalid_request", str(error)),
        HTTPException: lambda _, error: _error(error.status_code, "http", str(error.detail)),
        cart_document.LimitReached: lambda _, error: _error(409, "limit_reached", str(error)),
        cart_document.OutOfStep: lambda _, error: _error(409, "out_of_step", str(error)),
        cart_document.Unreadable: lambda _, error: _error(500, "unreadable_cart", str(error)),
        StoreUnavailable: unavailable,
        UnknownTable: lambda _, error: _not_yet("the catalogue has not been loaded yet"),
        StoreError: failed,
        WrongTable: failed,
    }
    for kind, answer in answers.items():
        app.add_exception_handler(kind, answer)


# --- The process --------------------------------------------------------------------------------


class Server(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        host, port = sockets[0].getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        print(f"gyre-cart: listening on http://{host}:{port}", flush=True)


def listening_socket(address: str) -> socket.socket:
    """ValueError or OSError when `address` is no host:port, or is taken."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not host:port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=128)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="A shopping cart on a Gyre cluster.")
    parser.add_argument("--gyre", required=True, metavar="HOST:PORT,...",
                        help="client addresses of the cluster's nodes")
    parser.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT",
                        help="where to serve HTTP; port 0 takes a free one (default %(default)s)")
    parser.add_argument("--stubs", required=True, metavar="DIR", type=Path,
                        help="where the stubs of the contract are, or are put")
    flags = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr,
                        format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        client = GyreClient(stubs.load(flags.stubs.resolve()),
                            [address for address in flags.gyre.split(",") if address])
        listener = listening_socket(flags.listen)
    except (OSError, ValueError, stubs.GenerationFailed) as error:
        print(f"cart.py: {flags.listen}: {error}" if isinstance(error, OSError)
              else f"cart.py: {error}", file=sys.stderr)
        return 1

    app = build_app(client)
    stop = threading.Event()

    def keep_index():
        app.state.index.refresh()
        scanned.set()
        app.state.index.run(stop)

    # Requests are served from the start; the wait is so that whoever sees "ready" can search.
    scanned = threading.Event()
    keeper = threading.Thread(target=keep_index, name="index", daemon=True)
    keeper.start()
    scanned.wait(FIRST_SCAN_WITHIN_S)
    try:
        asyncio.run(Server(uvicorn.Config(app, log_level="warning", access_log=False)).serve(
            sockets=[listener]))
    finally:
        stop.set()
        client.close()
        keeper.join()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
