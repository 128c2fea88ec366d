"""client.js over fetch, with headers, and with functions that give URL and headers."""

from __future__ import annotations

import json

import pytest

from tests.support.browser import Page
from tests.support.client_js import connect, event, wait_for
from tests.support.scripted import ScriptedServer

pytestmark = pytest.mark.browser

# Streams on which parsers differ (WHATWG HTML, 9.2.6).
STREAMS = {
    "line ends": "data: 1\n\ndata: 2\r\rdata: 3\r\n\r\ndata: a\rdata: b\r\n\n",
    "a byte order mark": "\ufeffdata: 1\n\n\ufeffdata: 2\n\ndata: 3\n\n",
    "a space": "data:1\n\ndata: 2\n\ndata:  3\n\ndata:\t4\n\n",
    "no colon": "data\n\ndata\ndata\n\nevent\ndata: 3\n\n",
    "comments and others": ": hi\ndata: 1\n:\nx: y\n: data: 2\ndatas: 3\nData: 4\n\n",
    "an event alone": "event: e\n\ndata: 1\n\nevent: e\ndata: 2\nevent: f\n\n",
    "ids": "id: 1\ndata: 1\n\ndata: 2\n\nid\ndata: 3\n\nid: 4\n\ndata: 5\n\n",
    "an id with NUL": "id: 1\ndata: 1\n\nid: 2\0\ndata: 2\n\n",
    "retries": "retry: 99\nretry: 9x\nretry: -1\nretry:\nretry: \u0661\ndata: 1\n\n",
    "unicode": "data: é €\u2028 \U0001f600\u0085 \x0b\x0c\n\nevent: ü\ndata: ü\n\n",
    "colons": "data: a: b\n\ndata::\n\nid: :1:\ndata: c\n\n",
    "no end": "data: 1\n\ndata: 2\n",
    "names": "event: open\ndata: 1\n\nevent: error\ndata: 2\n\nevent:\ndata:\n\n",
}
NAMES = ["message", "e", "f", "ü", "open", "error"]

# Feed a stream to client.js by way of `fetch`, cut after each of the given bytes.
FEED = """
async function feed(bytes, cuts, names) {
  const { connect } = await import("/sse/client.js");
  const own = window.fetch;
  const body = new ReadableStream({
    start(controller) {
      let from = 0;
      for (const to of [...cuts, bytes.length]) {
        controller.enqueue(bytes.slice(from, to));
        from = to;
      }
      controller.close();
    },
  });
  const headers = { "Content-Type": "text/event-stream" };
  window.fetch = async () => new Response(body, { headers });
  const got = [];
  try {
    await new Promise((done) => {
      const push = connect("/sse/stream", { transport: "fetch" });
      for (const name of names)
        push.on(name, (_, e) => got.push([e.type, e.data, e.lastEventId]));
      push.onState((state) => {
        if (state === "waiting") done(push.close());
      });
    });
  } finally {
    window.fetch = own;
  }
  return JSON.stringify(got);
}
"""
# The same by the browser's EventSource.
NATIVE = """
new Promise((done) => {
  const got = [];
  const source = new EventSource("/sse/stream");
  for (const name of NAMES)
    source.addEventListener(name, (e) => {
      if (e instanceof MessageEvent) got.push([e.type, e.data, e.lastEventId]);
    });
  source.addEventListener("error", (e) => {
    if (e instanceof MessageEvent) return;
    source.close();
    done(JSON.stringify(got));
  });
})
"""


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_reads_as_eventsource_reads_it_wherever_it_is_cut(
    page: Page, server: ScriptedServer, name: str
) -> None:
    server.answer(STREAMS[name], ends=True)
    native = json.loads(page.run(NATIVE.replace("NAMES", json.dumps(NAMES))))
    assert native
    page.run(f"window.feed = {FEED}")
    result = page.run(
        f"""(async () => {{
          const bytes = new TextEncoder().encode({json.dumps(STREAMS[name])});
          const names = {json.dumps(NAMES)};
          const all = [await feed(bytes, [...bytes.keys()], names)];
          for (let cut = 0; cut <= bytes.length; cut++)
            all.push(await feed(bytes, [cut], names));
          return [...new Set(all)];
        }})()"""
    )
    assert [json.loads(text) for text in result] == [native]


def test_fetch_is_used_only_where_it_is_asked_for(
    page: Page, server: ScriptedServer
) -> None:
    page.run(
        """window.used = [];
        const Native = EventSource;
        window.EventSource = class extends Native {
          constructor(...args) { super(...args); used.push("EventSource"); }
        };
        const own = fetch;
        window.fetch = (...args) => (used.push("fetch"), own(...args));"""
    )
    for options, transport in [
        ("{}", "EventSource"),
        ("{ transport: 'fetch' }", "fetch"),
        ("{ headers: { 'X-A': '1' } }", "fetch"),
        ("{ headers: () => ({ 'X-A': '1' }) }", "fetch"),
    ]:
        stream = server.answer()
        connect(page, options, "a")
        stream.send(event("a", 1, "5-0"))
        wait_for(page, "got", [1])
        assert page.run("[used.splice(0), push.state]") == [[transport], "open"]
        page.run("push.close()")
        request = server.next_request()
        assert request.headers["Accept"] == "text/event-stream"
        assert (request.headers["X-A"] == "1") is ("X-A" in options)


def test_fetch_resumes_after_the_last_id_and_after_as_long_as_it_is_told(
    page: Page, server: ScriptedServer
) -> None:
    server.answer("retry: 10\n\n" + event("a", 1, "5-0") + "id: 6-0\n\n", ends=True)
    server.answer("retry: 10\n\n", status=503)
    server.answer(event("a", 2, "7-0"))
    connect(page, "{ transport: 'fetch' }", "a", "sse-push-gap")
    wait_for(page, "got", [1, 2])
    requests = [server.next_request() for _ in range(3)]
    assert [request.method for request in requests] == ["GET"] * 3
    resumed = [request.query.get("lastEventId") for request in requests]
    assert resumed == [None, ["6-0"], ["6-0"]]
    wait_for(page, "states", ["connecting", "open", "waiting", "open"])


def test_fetch_with_no_event_yet_knows_where_it_was(
    page: Page, server: ScriptedServer
) -> None:
    server.answer("retry: 10\nid: 5-0\n\n", ends=True)
    connect(page, "{ transport: 'fetch' }", "a", "sse-push-gap")
    server.next_request()
    assert server.next_request().query == {"lastEventId": ["5-0"]}
    wait_for(page, "push.state", "open")
    assert page.run("got") == []


@pytest.mark.parametrize("status", [204, 401, 403])
def test_fetch_closes_at_a_final_status(
    page: Page, server: ScriptedServer, status: int
) -> None:
    server.answer(status=status)
    connect(page, "{ transport: 'fetch' }")
    wait_for(page, "[push.state, push.reason]", ["closed", "refused"])
    assert server.requests.qsize() == 1


def test_what_is_no_stream_is_tried_again(page: Page, server: ScriptedServer) -> None:
    connect(page, "{ transport: 'fetch' }", url='"/login"')
    wait_for(page, "states", ["connecting", "waiting"])
    assert page.run("push.reason") is None


def test_closing_ends_the_request(page: Page, server: ScriptedServer) -> None:
    stream = server.answer()
    connect(page, "{ transport: 'fetch' }", "a")
    page.run("push.on('a', (data) => { if (data === 1) push.close() })")
    stream.send(event("a", 1, "5-0") + event("a", 2, "6-0"))
    wait_for(page, "[got, push.state]", [[1], "closed"])
    assert page.errors() == []


TOKENS = "async () => `/sse/stream?token=${++asked}`"
HEADERS = "{ headers: async () => ({ Authorization: `Bearer ${++asked}` }) }"


@pytest.mark.parametrize(
    ("url", "options"),
    [(TOKENS, "{}"), (TOKENS, "{ transport: 'fetch' }"), ('"/sse/stream"', HEADERS)],
    ids=["EventSource", "fetch", "headers"],
)
class TestFunctions:
    """Functions are asked anew at each attempt, whatever the transport."""

    @staticmethod
    def tokens(server: ScriptedServer) -> list[str]:
        """The tokens of the streams that were asked for so far."""
        requests = []
        while not server.requests.empty():
            requests.append(server.requests.get())
        return [
            request.headers.get("Authorization", "").removeprefix("Bearer ")
            or request.query["token"][0]
            for request in requests
            if request.method == "GET"
        ]

    def test_each_attempt_has_a_new_token(
        self, page: Page, server: ScriptedServer, url: str, options: str
    ) -> None:
        server.answer("retry: 10\n\n" + event("a", 1, "5-0"), ends=True)
        server.answer(status=503)
        server.answer(event("a", 1, "5-0") + event("a", 2, "6-0"))
        page.run("window.asked = 0")
        connect(page, options, "a", url=url)
        wait_for(page, "got", [1, 2])
        assert self.tokens(server) == ["1", "2", "3"]

    def test_after_401_they_are_asked_once_more(
        self, page: Page, server: ScriptedServer, url: str, options: str
    ) -> None:
        server.answer(status=401)
        server.answer("retry: 10\n\n" + event("a", 1, "5-0"), ends=True)
        server.answer(status=401)
        server.answer(event("a", 2, "6-0"))
        page.run("window.asked = 0")
        connect(page, options, "a", url=url)
        wait_for(page, "got", [1, 2])
        assert self.tokens(server) == ["1", "2", "3", "4"]
        assert page.run("push.state") == "open"

    def test_two_401_in_a_row_are_final(
        self, page: Page, server: ScriptedServer, url: str, options: str
    ) -> None:
        server.answer(status=401)
        server.answer(status=401)
        page.run("window.asked = 0")
        connect(page, options, "a", url=url)
        wait_for(page, "[push.state, push.reason]", ["closed", "refused"])
        assert self.tokens(server) == ["1", "2"]

    def test_one_that_fails_is_asked_again(
        self, page: Page, server: ScriptedServer, url: str, options: str
    ) -> None:
        server.answer(event("a", 1, "5-0"))
        page.run(
            """window.tries = 0;
            Object.defineProperty(window, "asked", {
              get() { if (!tries++) throw new Error("no token"); return 6; },
              set() {},
            });
            0"""
        )
        connect(page, options, "a", url=url)
        wait_for(page, "got", [1])
        assert self.tokens(server) == ["7"]
        assert page.run("states") == ["connecting", "waiting", "open"]
        assert ["no token" in error for error in page.errors()] == [True]


def test_closed_while_a_function_is_asked_is_closed(
    page: Page, server: ScriptedServer
) -> None:
    connect(page, url="() => new Promise((done) => (window.give = done))")
    page.run("push.close(); give('/sse/stream')")
    page.run("new Promise((done) => setTimeout(done, 200))")
    assert page.run("states") == ["connecting", "closed"]
    assert server.requests.empty()


def test_a_url_that_is_none_is_refused_at_once(page: Page) -> None:
    with pytest.raises(AssertionError, match="Invalid URL"):
        connect(page, url='"http://:80:80/"')
