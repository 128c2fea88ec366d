"""Pages of another origin, with tokens and tickets, on a real server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tests.support.browser import Browser, Page
from tests.support.client_js import connect, wait_for
from tests.support.scripted import ScriptedServer
from tests.support.servers import Server, serve

pytestmark = pytest.mark.browser

Serve = Callable[..., Server]


@pytest.fixture
def other_origin() -> Iterator[str]:
    """A site of another origin that serves nothing but an empty page."""
    with ScriptedServer({}) as server:
        yield server.url.replace("127.0.0.1", "localhost").rstrip("/")


@pytest.fixture
def start(other_origin: str) -> Iterator[Serve]:
    """Starts a server that pages of the other origin may use."""
    started = []

    def start(**settings: object) -> Server:
        settings = {"RETRY_MS": 10, "CORS_ORIGINS": [other_origin], **settings}
        environ = {f"SSE_PUSH_{key}": json.dumps(v) for key, v in settings.items()}
        started.append(
            serve("gunicorn-gevent", "tests.support.tokenapp:app", environ=environ)
        )
        return started[-1].__enter__()

    yield start
    for server in started:
        server.__exit__(None, None, None)


@pytest.fixture
def foreign(browser: Browser, other_origin: str) -> Iterator[Page]:
    """A page of the other origin."""
    page = browser.page(other_origin)
    yield page
    page.close()


def post(server: Server, path: str, data: object) -> None:
    request = urllib.request.Request(
        server.url + path,
        json.dumps(data).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=20).close()


def asked_for(page: Page, path: str) -> str:
    """How often the page has asked for a path, as JavaScript."""
    entries = "performance.getEntriesByType('resource')"
    return f"{entries}.filter((e) => new URL(e.name).pathname === '{path}').length"


def test_another_origin_opens_a_stream_with_authorization_and_acknowledges(
    foreign: Page, start: Serve, other_origin: str
) -> None:
    server = start(ACKNOWLEDGE="explicit", CORS_HEADERS=["X-Tenant"])
    options = """{ headers: async () => ({
      "X-Tenant": "t",
      Authorization: `Bearer ${await (await fetch("%s/token/ada")).text()}`,
    }) }"""
    options %= server.url
    where = {
        "url": f'"{server.url}/sse/stream"',
        "module": f"{server.url}/sse/client.js",
    }
    post(server, "/send/ada/a", {"n": 1})
    connect(foreign, options, "a", **where)
    wait_for(foreign, "got.map((data) => data.n)", [1])
    foreign.wait(asked_for(foreign, "/sse/ack"))
    foreign.go(other_origin)
    post(server, "/send/ada/a", {"n": 2})
    connect(foreign, options, "a", **where)
    wait_for(foreign, "got.map((data) => data.n)", [2])
    assert foreign.errors() == []


def test_a_token_that_is_not_taken_any_more_is_renewed(
    foreign: Page, start: Serve
) -> None:
    server = start(MAX_CONNECTION_SECONDS=0.5, HEARTBEAT_SECONDS=0.2)
    foreign.run(
        f"""window.asked = 0;
        window.renew = async () => {{
          window.token = await (await fetch("{server.url}/token/ada")).text();
        }};
        renew()"""
    )
    # The page's function gives an old token until it is asked for the second time.
    options = """{ headers: async () => {
      if (window.spoiled) { window.spoiled = false; return { Authorization: "old" }; }
      asked += 1;
      await renew();
      return { Authorization: `Bearer ${token}` };
    } }"""
    module = f"{server.url}/sse/client.js"
    connect(foreign, options, "a", url=f'"{server.url}/sse/stream"', module=module)
    wait_for(foreign, "push.state", "open")
    post(server, "/send/ada/a", {"n": 1})
    wait_for(foreign, "got.map((data) => data.n)", [1])
    foreign.run("window.spoiled = true")
    foreign.wait("asked >= 3")
    post(server, "/send/ada/a", {"n": 2})
    wait_for(foreign, "got.map((data) => data.n)", [1, 2])
    assert foreign.run("states.includes('closed')") is False
    assert foreign.run("spoiled") is False


@pytest.mark.parametrize("options", ["{}", "{ transport: 'fetch' }"])
def test_each_attempt_has_a_ticket_of_its_own(
    foreign: Page, start: Serve, options: str
) -> None:
    server = start(MAX_CONNECTION_SECONDS=0.5, HEARTBEAT_SECONDS=0.2)
    url = f"""async () => "{server.url}/sse/stream?ticket=" +
      await (await fetch("{server.url}/ticket/ada?seconds=1")).text()"""
    connect(foreign, options, "a", url=url, module=f"{server.url}/sse/client.js")
    for number in range(1, 4):
        post(server, "/send/ada/a", {"n": number})
        foreign.wait(f"{asked_for(foreign, '/ticket/ada')} > {number}")
    wait_for(foreign, "got.map((data) => data.n)", [1, 2, 3])
    assert foreign.run("states.includes('closed')") is False


def test_plain_eventsource_comes_back_with_a_ticket_that_has_expired(
    foreign: Page, start: Serve
) -> None:
    server = start(MAX_CONNECTION_SECONDS=0.5, HEARTBEAT_SECONDS=0.2)
    foreign.run(
        f"""(async () => {{
          const answer = await fetch("{server.url}/ticket/ada?seconds=1");
          window.url = "{server.url}/sse/stream?ticket=" + (await answer.text());
          window.got = [];
          window.closings = 0;
          const source = (window.source = new EventSource(url));
          source.addEventListener("a", (event) => got.push(JSON.parse(event.data).n));
          source.addEventListener("sse-push-closing", () => (closings += 1));
        }})()"""
    )
    wait_for(foreign, "source.readyState", 1)
    post(server, "/send/ada/a", {"n": 1})
    wait_for(foreign, "got", [1])
    foreign.wait("fetch(url, { method: 'HEAD' }).then((a) => a.status === 401)")
    count = foreign.run("closings")
    foreign.wait(f"closings > {count + 1}")
    post(server, "/send/ada/a", {"n": 2})
    wait_for(foreign, "got", [1, 2])


def test_an_origin_that_is_not_configured_gets_nothing(
    foreign: Page, start: Serve
) -> None:
    server = start(CORS_ORIGINS=["https://shop.example"])
    script = f"import('{server.url}/sse/client.js').then(() => 1, () => 2)"
    assert foreign.run(script) == 2
    stream = f"fetch('{server.url}/sse/stream?user=ada').then(() => 1, () => 2)"
    assert foreign.run(stream) == 2


class TestPageLoads:
    """Acknowledged explicitly: each event until a page has dealt with it."""

    @pytest.fixture
    def page(self, browser: Browser) -> Iterator[Page]:
        page = browser.page("about:blank")
        yield page
        page.close()

    @staticmethod
    def load(page: Page, server: Server, *names: str) -> None:
        page.go(server.url)
        connect(page, "{}", *names, url='"/sse/stream?user=ada"')

    def test_what_no_handler_took_comes_on_the_next_page(
        self, page: Page, start: Serve
    ) -> None:
        server = start(ACKNOWLEDGE="explicit")
        numbers = "got.map((data) => data.n)"
        self.load(page, server, "chat", "news")
        wait_for(page, "push.state", "open")
        post(server, "/send/ada/invoice", {"n": 1})
        post(server, "/broadcast/news", {"n": 2})
        post(server, "/send/ada/chat", {"n": 3})
        wait_for(page, numbers, [2, 3])
        page.wait(asked_for(page, "/sse/ack"))
        self.load(page, server, "chat", "invoice")
        wait_for(page, numbers, [1])
        page.wait(asked_for(page, "/sse/ack"))
        self.load(page, server, "chat", "invoice")
        post(server, "/send/ada/chat", {"n": 4})
        wait_for(page, numbers, [4])

    def test_by_default_a_page_acknowledges_nothing(
        self, page: Page, start: Serve
    ) -> None:
        server = start()
        self.load(page, server, "chat")
        wait_for(page, "push.state", "open")
        post(server, "/send/ada/chat", {"n": 1})
        wait_for(page, "got.length", 1)
        page.run("push.close()")  # would flush
        page.run("new Promise((done) => setTimeout(done, 300))")
        assert page.run(asked_for(page, "/sse/ack")) == 0
