"""The application: a request in, an answer out. What is 5xx is our fault, whatever the request is."""

import asyncio
import ipaddress
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ingestd import metrics
from ingestd.store import engine
from ingestd.store.api.accounts import Account
from ingestd.store.engine import Database
from ingestd.web import body, endpoints, files, login, negotiate
from ingestd.web.answer import Answer, File, Redirect, RefusalError, anonymous, missing
from ingestd.web.call import Call, Site
from ingestd.web.fields import NEWEST, VERSIONS, Version
from ingestd.web.rates import Rate
from ingestd.web.respond import Manner, respond

log = structlog.get_logger()

METHODS = (*endpoints.METHODS, "HEAD", "OPTIONS")
LONGEST_ADDRESS = 8190  # octets, of the API's own: what is asked for comes back in `Link`, up to four times
MOST_PARAMETERS = 1000
BODY_PATIENCE = 30.0  # seconds for a whole body
FORGOTTEN = 32 * 1024 * 1024  # octets of a body that are read to be forgotten
VARY = "Accept, Cookie"
PATH = re.compile(r"/api(?:/([0-9]\.[0-9]))?(/.*)?", re.DOTALL)
HOST = re.compile(r"[A-Za-z0-9._-]{1,255}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says of the API."""

    open_reads: bool = True  # who did not log in may read
    url: str = ""  # of the site, where Host does not say it
    largest_body: int = 1024 * 1024
    insecure_writes: bool = False  # over plain HTTP from elsewhere
    rate: float = 50.0  # requests a second from one address, on the long run; not from our own machine


def make(database: Database, reader: Database, settings: Settings) -> ASGIApp:
    """The application on a database; `reader` is where GET reads."""
    service = Service(Site(database, reader), settings)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            started = time.perf_counter()
            response = await service.handle(Request(scope, receive))
            method = scope["method"] if scope["method"] in METHODS else "other"
            metrics.HTTP_RESPONSES.labels(method, str(response.status_code)).inc()
            metrics.HTTP_SECONDS.observe(time.perf_counter() - started)
            await response(scope, receive, send)

    return app


class Service:
    """Answers requests."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self._site = site
        self._settings = settings
        self._requests = Rate(settings.rate, settings.rate * 10)
        self._logins = Rate(1 / 6, 10)

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        manner = Manner()
        try:
            answer = await self._answer(request, manner)
        except RefusalError as refusal:
            answer = Answer(refusal.body, refusal.status, refusal.headers)
        except ClientDisconnect:
            answer = Answer({"detail": "The request was not sent whole."}, 400)
        except engine.FAILURES as error:
            answer = _failed(request, error)
        except Exception as error:
            log.exception("request_failed", path=_path(request), error=repr(error))
            answer = Answer({"detail": "An error of ours, which is in the log."}, 500)
        return respond(request, answer, manner)

    async def _answer(self, request: Request, manner: Manner) -> Answer | File | Redirect:
        query = _query(request)
        path = request.scope["path"]
        peer = _peer(request)
        if peer is not None:
            self._requests.check(peer)
            self._requests.take(peer)
        found = PATH.fullmatch(path)
        if found is not None:
            if len(request.scope["raw_path"]) + len(request.scope["query_string"]) > LONGEST_ADDRESS:
                raise RefusalError(414, "The address is too long.")
            manner.kind = negotiate.form(query, request.headers.get("accept", ""))
            return await self._api(request, query, _version(found[1]), found[2] or "/", manner)
        # b4 puts a slash behind an address that ends in one.
        if (there := files.find("/" + path.lstrip("/"), query)) is not None:
            return await self._file(request, query, *there)
        raise missing()

    async def _account(self, request: Request) -> Account | None:
        """Who asks. An address that was often wrong has to wait.

        For a write the primary is asked: a replica may not know yet that a token was revoked.
        """
        said = request.headers.get("authorization")
        if said is None:
            return None
        peer = _peer(request)
        if peer is not None:
            self._logins.check(peer)
        reads = request.method in ("GET", "HEAD", "OPTIONS")
        try:
            return await login.account_of(self._site.reader if reads else self._site.database, said)
        except RefusalError:
            if peer is not None:
                self._logins.take(peer)
            raise

    async def _file(
        self, request: Request, query: dict[str, list[str]], place: files.Place, parts: dict[str, str]
    ) -> File | Redirect:
        account = await self._account(request)
        if account is None and not self._settings.open_reads:
            raise anonymous()
        call = self._call(request, NEWEST, query, parts, account)
        return await files.answer(call, place)

    def _call(
        self,
        request: Request,
        version: Version,
        query: dict[str, list[str]],
        parts: dict[str, str],
        account: Account | None,
        data: Mapping[str, Any] | None = None,
    ) -> Call:
        named = query.get("format", [""])[-1]
        return Call(
            site=self._site,
            method="GET" if request.method == "HEAD" else request.method,
            path=quote(request.scope["path"].rstrip("/") + "/", safe="/:@!$&'()*+,;=~%"),
            version=version,
            base=self.base(request),
            suffix=f"?format={named}" if named in negotiate.BY_NAME else "",
            query=query,
            parts=parts,
            account=account,
            data=data or {},
        )

    async def _api(
        self, request: Request, query: dict[str, list[str]], version: Version, path: str, manner: Manner
    ) -> Answer:
        there = endpoints.find(path, version)
        if there is None:
            raise missing()
        endpoint, parts = there
        manner.headers |= {"Allow": endpoint.allow, "Vary": VARY}
        manner.title = endpoint.name
        account = await self._account(request)
        if request.method == "OPTIONS":
            return _describe(endpoint)
        method = "GET" if request.method == "HEAD" else request.method
        handler = endpoint.methods.get(method)
        writes = method != "GET"
        manner.description = (handler.__doc__ or "").strip() if handler else ""
        if handler is None or (writes and version < endpoint.writes_since):
            raise RefusalError(405, f'Method "{request.method}" not allowed.')
        if writes and _announced(request) > self._settings.largest_body:  # whoever sends it
            await read_body(request, self._settings.largest_body)
        if account is None and (writes or not self._settings.open_reads):
            raise anonymous()
        data: Mapping[str, Any] = {}
        if writes:
            self._check_safe(request)
            content = await read_body(request, self._settings.largest_body)
            data = body.read(content, request.headers.get("content-type", ""))
        return await handler(self._call(request, version, query, parts, account, data))

    def _check_safe(self, request: Request) -> None:
        """RefusalError for a write whose token others may have read on its way, or that somebody else lets one make."""
        if not (_peer(request) is None or request.scope["scheme"] == "https" or self._settings.insecure_writes):
            raise RefusalError(403, "Writes are taken over HTTPS only.")
        # A page of another site must not use what a browser knows of ours.
        if request.headers.get("origin", self.base(request)) != self.base(request):
            raise RefusalError(403, "Writes from another site are refused.")

    def base(self, request: Request) -> str:
        """Scheme and host of our own addresses: what is configured, else what the request was sent to."""
        if self._settings.url:
            return self._settings.url.rstrip("/")
        host = request.headers.get("host", "")
        return f"{request.url.scheme}://{host if HOST.fullmatch(host) else 'localhost'}"


def _peer(request: Request) -> str | None:
    """Who asks, for counting: an address, or a network where one has a whole network. None: this machine itself."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_loopback:
        return None
    return host if address.version == 4 else str(ipaddress.ip_network((int(address), 64), strict=False))


def _path(request: Request) -> str:
    """What was asked for, as it may stand in a log: a line of its own cannot be made with it."""
    return ascii(request.scope["path"])[1:-1][:500]


def _failed(request: Request, error: BaseException) -> Answer:
    """What the database's refusal means."""
    path, fault = _path(request), engine.judge(error)
    if fault is engine.Fault.DATA:
        log.warning("request_refused", path=path, error=engine.reason(error))
        return Answer({"detail": "The database cannot take what the request says."}, 400)
    if fault is engine.Fault.OURS:
        log.error("request_failed", path=path, error=engine.reason(error), exc_info=error)
        return Answer({"detail": "An error of ours, which is in the log."}, 500)
    log.warning("request_failed", path=path, error=engine.reason(error))
    return Answer({"detail": "The database is away. Try again."}, 503, {"Retry-After": "10"})


async def read_body(request: Request, most: int) -> bytes:
    """The body. 413 past `most` octets, 408 for one that takes too long.

    What is too much is read and forgotten, within bounds: who still sends would not hear the answer.
    """
    announced = _announced(request)
    size, parts = 0, []
    try:
        async with asyncio.timeout(BODY_PATIENCE):
            if announced <= FORGOTTEN:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size <= most:
                        parts.append(chunk)
                    elif size > FORGOTTEN:
                        break
    except TimeoutError:
        raise RefusalError(408, "The request took too long.", {"Connection": "close"}) from None
    if max(size, announced) > most:
        raise RefusalError(413, "The request is too big.", {"Connection": "close"})
    return b"".join(parts)


def _announced(request: Request) -> int:
    """How many octets the body is said to have; 0 where nothing is said."""
    length = request.headers.get("content-length", "0")
    return int(length) if re.fullmatch(r"[0-9]{1,18}", length, re.ASCII) else FORGOTTEN + 1


def _query(request: Request) -> dict[str, list[str]]:
    try:
        return parse_qs(
            request.scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        raise RefusalError(400, "Too many parameters.") from None


def _version(said: str | None) -> Version:
    if said is None:
        return NEWEST
    version = (int(said[0]), int(said[2]))
    if version not in VERSIONS:
        raise missing()
    return version


def _describe(endpoint: endpoints.Endpoint) -> Answer:
    """What OPTIONS answers."""
    said = [
        f"{method.lower()}:\n{(handler.__doc__ or '').strip()}" for method, handler in sorted(endpoint.methods.items())
    ]
    return Answer(
        {
            "name": endpoint.name,
            "description": "\n\n".join(said),
            "renders": ["application/json", "text/html"],
            "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
        }
    )
