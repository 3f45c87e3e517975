"""The module `chatroom.js` with tokens, on a page of another site."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.auth.support import SECRET, token
from tests.browser import test_client
from tests.browser.conftest import OpenPage
from tests.browser.test_client import GUIDE, PAGE, Site
from tests.live.conftest import StartServer
from tests.live.server import Server

site = test_client.site

RENEWING = "token: getToken, idle: 1e6"  # tests that advance the clock leave no time for a pong

EVERYTHING = {"subscribe": ["*"], "publish": ["*"]}

BEGIN = """(options) => {
    window.log = [];
    window.frames_ = [];
    window.room = chatroom.connect(URL_, options);
    room.addEventListener("frame", ({detail}) => frames_.push(detail.text));
    for (const type of ["state", "notice", "tokenerror", "expiring"]) {
        room.addEventListener(type, ({detail}) => {
            const {state, kind, code, message, seconds} = detail;
            const what = state ?? kind ?? (seconds && "soon") ?? `${code}: ${message}`;
            log.push(`${type} ${what}`);
        });
    }
}"""


class Visit:
    """A page with `chatroom.js`, whose function `token` hands out the given tokens in turn."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.tokens: list[str | Exception] = []
        self.calls = 0
        self.evaluate: Callable[..., Any] = page.evaluate
        page.expose_function("getToken", self._get_token)

    def _get_token(self) -> str:
        self.calls += 1
        taken = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if isinstance(taken, Exception):
            raise taken
        return taken

    def begin(self, *tokens: str | Exception, options: str = RENEWING) -> None:
        """Connect; without other options, with the function `getToken`."""
        self.tokens[:] = tokens
        url = f"'ws://127.0.0.1:{self.server.port}/ws'"
        script = BEGIN.replace("URL_", url)
        self.evaluate(f"() => ({script})({{minDelay: 1, {options}}})")

    def wait_for(self, entry: str) -> None:
        """Wait until something is in the log."""
        self.page.wait_for_function("(entry) => log.includes(entry)", arg=entry)

    @property
    def log(self) -> list[str]:
        """What has happened so far."""
        entries: list[str] = self.evaluate("log")
        return entries


@pytest.fixture
def visit(guarded_server: Server, site: Site, open_page: OpenPage) -> Visit:
    """Open a page with the module as `chatroom`."""
    site.html = PAGE.replace("localhost:9090", f"127.0.0.1:{guarded_server.port}")
    return Visit(open_page(site), guarded_server)


@pytest.fixture
def addresses(visit: Visit) -> list[str]:
    """Collect the addresses of the WebSockets that the page opens."""
    found: list[str] = []
    visit.page.on("websocket", lambda socket: found.append(socket.url))
    return found


def test_fixed_token(visit: Visit, addresses: list[str]) -> None:
    """A token travels in the handshake, never in the URL or in a frame; events name the user."""
    secret = token("42", **EVERYTHING)
    visit.begin(options=f"token: '{secret}'")
    assert visit.evaluate("room.subscribe('fixed').then((ack) => ack.status)") == "ok"
    other = visit.server.connect(headers={"Authorization": f"Bearer {token('43', **EVERYTHING)}"})
    visit.evaluate("room.addEventListener('event', ({detail}) => window.heard = detail)")
    other.publish("fixed", {"n": 1})
    visit.page.wait_for_function("window.heard")
    assert visit.evaluate("[heard.user, heard.message.payload.n]") == ["43", 1]
    assert addresses == [f"ws://127.0.0.1:{visit.server.port}/ws"]
    frames = visit.evaluate("frames_")
    assert not any(secret in frame for frame in frames)
    assert '"type":"subscribe"' in frames[0]


def test_token_that_does_not_fit_in_a_header(visit: Visit) -> None:
    """A long token is the first message, masked in `frame`; subscriptions wait for its ack."""
    visit.begin(token(**EVERYTHING, jti="x" * 4000))
    assert visit.evaluate("room.subscribe('long').then((ack) => ack.status)") == "ok"
    frames = visit.evaluate("frames_")
    assert frames[0] == '{"type":"auth","token":"•••","request_id":"c1"}'
    assert '"user":"42"' in frames[1]
    assert '"type":"subscribe"' in frames[2]
    assert visit.log == ["state open"]


@pytest.mark.parametrize("size", [0, 4000], ids=["handshake", "first message"])
def test_invalid_token(visit: Visit, size: int) -> None:
    """After an invalid token there is a clear error and no reconnection."""
    visit.begin(token(secret="another secret of at least 32 bytes", jti="x" * size))
    visit.wait_for("tokenerror UNAUTHORIZED: the token's signature is wrong")
    assert visit.log[-2:] == [
        "state closed",
        "tokenerror UNAUTHORIZED: the token's signature is wrong",
    ]
    assert visit.calls == 1


@pytest.mark.parametrize("size", [0, 4000], ids=["handshake", "first message"])
def test_expired_token(visit: Visit, size: int) -> None:
    """After an expired token the function is called again, and subscriptions are made then."""
    visit.begin(token(ttl=-100, jti="x" * size), token(**EVERYTHING))
    assert visit.evaluate("room.subscribe('again').then((ack) => ack.status)") == "ok"
    expected = ["state waiting", "tokenerror UNAUTHORIZED: the token has expired"]
    assert visit.log[-4:] == [*expected, "state connecting", "state open"]
    assert visit.calls == 2


def test_expired_fixed_token(visit: Visit) -> None:
    """A fixed token that has expired is not used again; `setToken` and `reconnect` help."""
    visit.begin(options=f"token: '{token(ttl=-100)}'")
    visit.wait_for("tokenerror UNAUTHORIZED: the token has expired")
    assert visit.evaluate("room.state") == "closed"
    assert visit.evaluate("room.setToken(getToken).then((ack) => ack ?? null)") is None
    visit.tokens[:] = [token(**EVERYTHING)]
    visit.evaluate("room.reconnect()")
    assert visit.evaluate("room.subscribe('then').then((ack) => ack.status)") == "ok"


def test_function_that_fails(visit: Visit) -> None:
    """A function that fails is called again after a delay; each failure is reported."""
    visit.begin(RuntimeError("no login"), token(**EVERYTHING))
    assert visit.evaluate("room.subscribe('finally').then((ack) => ack.status)") == "ok"
    assert visit.log == [
        "state waiting",
        "tokenerror NO_TOKEN: there is no token: no login",
        "state connecting",
        "state open",
    ]


def test_function_that_returns_something_else(visit: Visit) -> None:
    """A value that is not a string is reported like any other failure; nothing is no token."""
    visit.begin(options="token: () => window.given")
    visit.wait_for("state open")
    assert visit.evaluate("outcome(room.subscribe('t'))")["code"] == "UNAUTHORIZED"
    visit.evaluate("room.close(), window.given = 42, room.reconnect()")
    visit.wait_for("tokenerror NO_TOKEN: there is no token: the token is not a string")
    visit.evaluate("room.close()")


def test_closing_while_the_function_runs(visit: Visit, addresses: list[str]) -> None:
    """A client that is closed before it has its token does not connect any more."""
    visit.begin(options="token: () => new Promise((resolve) => window.give = resolve)")
    visit.page.wait_for_function("Boolean(window.give)")
    visit.evaluate("room.close(), give('a token')")
    assert visit.evaluate("new Promise((done) => setTimeout(done, 0, room.state))") == "closed"
    assert addresses == []


def test_renewal(visit: Visit) -> None:
    """A token is renewed in place before it expires: the connection stays open throughout."""
    visit.page.clock.install()
    visit.begin(token(ttl=50, **EVERYTHING), RuntimeError("busy"), token(ttl=500, **EVERYTHING))
    visit.wait_for("expiring soon")
    assert visit.calls == 1
    visit.page.clock.run_for(30_000)
    visit.wait_for("tokenerror NO_TOKEN: there is no token: busy")
    visit.page.clock.run_for(30_000)
    visit.page.wait_for_function('frames_.some((text) => text.includes(\'"user":"42"\'))')
    assert visit.calls == 3
    assert [entry for entry in visit.log if entry.startswith("state")] == ["state open"]
    assert visit.evaluate("room.subscribe('renewed').then((ack) => ack.status)") == "ok"


def test_renewal_with_the_token_of_another_user(visit: Visit) -> None:
    """Another user's token is refused once, and not sent again on this connection."""
    visit.page.clock.install()
    visit.begin(token(ttl=50), token("43"))
    visit.wait_for("expiring soon")
    visit.page.clock.run_for(30_000)
    visit.wait_for("tokenerror FORBIDDEN: the token is for another user")
    visit.page.clock.run_for(10_000)
    assert visit.evaluate("room.ping()") >= 0
    assert visit.calls == 2


def test_refused_commands(visit: Visit) -> None:
    """A command that the token does not cover is rejected with the server's code."""
    visit.begin(token(subscribe=["mine"]))
    assert visit.evaluate("outcome(room.subscribe('secret'))")["code"] == "FORBIDDEN"
    assert visit.evaluate("room.subscribe('mine').then((ack) => ack.status)") == "ok"
    assert visit.evaluate("outcome(room.publish('mine', 1))")["code"] == "FORBIDDEN"
    assert visit.evaluate("room.topics") == ["mine"]


def test_revoked_permission(visit: Visit) -> None:
    """A subscription that a new token does not cover ends for good, with a notice."""
    visit.begin(token(subscribe=["kept", "lost"]))
    visit.evaluate("Promise.all([room.subscribe('kept'), room.subscribe('lost')])")
    narrower = token(subscribe=["kept"])
    assert visit.evaluate(f"room.setToken('{narrower}').then((ack) => ack.user)") == "42"
    visit.wait_for("notice revoked")
    assert visit.evaluate("room.topics") == ["kept"]
    visit.evaluate("room.close(), room.reconnect()")
    visit.wait_for("notice gap")
    frames = visit.evaluate("frames_.filter((text) => text.includes('subscribe'))")
    assert [("kept" in frame, "lost" in frame) for frame in frames[2:]] == [(True, False)]


def test_token_that_is_not_accepted_in_place(visit: Visit) -> None:
    """After `setToken` with a wrong token or another user's, the previous token stays in use."""
    visit.begin(token(**EVERYTHING))
    visit.evaluate("room.subscribe('t')")
    other, wrong = token("43", **EVERYTHING), token(secret="another secret of at least 32 bytes")
    assert visit.evaluate(f"outcome(room.setToken('{other}'))")["code"] == "FORBIDDEN"
    assert visit.evaluate(f"outcome(room.setToken('{wrong}'))")["code"] == "UNAUTHORIZED"
    assert visit.evaluate("outcome(room.setToken(''))")["code"] == "NO_TOKEN"
    visit.evaluate("room.close(), room.reconnect()")
    visit.wait_for("notice gap")
    assert visit.calls == 2


def test_client_that_never_authenticates(
    start_server: StartServer, site: Site, open_page: OpenPage
) -> None:
    """A client without a token learns why the server disconnects it."""
    server = start_server(
        CHATROOM_AUTH="required",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_AUTH_TIMEOUT="0.1",
        CHATROOM_ALLOWED_ORIGINS="*",
    )
    site.html = PAGE.replace("localhost:9090", f"127.0.0.1:{server.port}")
    visit = Visit(open_page(site), server)
    visit.begin(options="")
    visit.wait_for("tokenerror UNAUTHORIZED: the client did not authenticate in time")
    assert visit.evaluate("room.state") == "closed"


def test_example_of_the_guide(guarded_server: Server, site: Site, open_page: OpenPage) -> None:
    """The example with tokens in docs/client.md works as written."""
    example = re.findall(r"```html\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]
    site.html = example.replace("localhost:9090", f"127.0.0.1:{guarded_server.port}")
    site.token = token("42", subscribe=["orders"])
    page = open_page(site)
    bearer = {"Authorization": f"Bearer {token('43', **EVERYTHING)}"}
    publisher = guarded_server.connect(headers=bearer)
    items = page.locator("#orders li")
    while items.count() == 0:  # only the page itself knows when it has subscribed
        publisher.publish("orders", {"order_id": "ORD-1"})
    expect(items.first).to_have_text('43: {"order_id":"ORD-1"}')


def test_server_without_authentication(
    start_server: StartServer, site: Site, open_page: OpenPage
) -> None:
    """Where authentication is off, a token is not needed, and does not matter."""
    server = start_server(CHATROOM_ALLOWED_ORIGINS="*")
    server.create_topic("t")
    site.html = PAGE.replace("localhost:9090", f"127.0.0.1:{server.port}")
    visit = Visit(open_page(site), server)
    for size in (0, 4000):
        visit.begin(token(jti="x" * size))
        visit.wait_for("state open")
        assert visit.evaluate("room.subscribe('t').then((ack) => ack.status)") == "ok"
        visit.evaluate("room.close()")
