"""The example shop in a real Chromium with two users, on a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.browser import Browser, Page
from tests.support.clients import eventually
from tests.support.redis_server import RedisServer
from tests.support.servers import Server, serve
from tests.support.shop import (
    MESSAGES,
    SHOP,
    STATE,
    STEPS,
    TOASTS,
    Arrive,
    announce,
    visitors,
    wait_for,
    waiting_for,
    write,
)

pytestmark = pytest.mark.browser

LogIn = Callable[[str], Page]


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(*SHOP, environ={"DEMO_STEP_SECONDS": "0.3"}) as server:
        yield server


@pytest.fixture
def people(browser: Browser) -> Iterator[Arrive]:
    with visitors(browser) as arrive:
        yield arrive


@pytest.fixture
def log_in(server: Server, people: Arrive) -> LogIn:
    return lambda user: people(server, user)


def test_an_order_is_followed_by_its_buyer_alone(log_in: LogIn) -> None:
    alice, bob = log_in("alice"), log_in("bob")
    alice.click("[data-item='Desk Lamp']")
    wait_for(alice, STEPS, ["4/4"])
    assert alice.text(".order-item") == "Desk Lamp"
    assert alice.text(".order-status") == "Delivered"
    assert bob.run(STEPS) == []
    bob.click("[data-item='Wall Clock']")
    wait_for(bob, STEPS, ["4/4"])
    assert bob.text(".order-item") == "Wall Clock"
    assert alice.run(STEPS) == ["4/4"]


def test_every_step_is_shown(log_in: LogIn) -> None:
    page = log_in("dora")
    page.run(
        """
        const list = document.getElementById("orders");
        window.seen = [];
        new MutationObserver(() => {
          const step = document.querySelector(".order-step").textContent;
          if (seen.at(-1) !== step) seen.push(step);
        }).observe(list, { childList: true, subtree: true });
        """
    )
    page.click("button.order")
    wait_for(page, "seen", ["1/4", "2/4", "3/4", "4/4"])
    bar = "document.querySelector('.bar')"
    assert page.run(f"{bar}.getAttribute('aria-valuenow')") == "4"


def test_orders_are_still_there_after_a_reload(log_in: LogIn, server: Server) -> None:
    page = log_in("erin")
    page.click("[data-item='Desk Lamp']")
    wait_for(page, STEPS, ["4/4"])
    page.click("[data-item='Wall Clock']")
    wait_for(page, STEPS, ["4/4", "4/4"])
    page.go(server.url)
    wait_for(page, STEPS, ["4/4", "4/4"])


def test_an_announcement_reaches_everybody(
    log_in: LogIn, server: Server, people: Arrive
) -> None:
    alice, admin, anonymous = log_in("alice"), log_in("admin"), people(server, "")
    announce(admin, "Sale", "high")
    for page in (alice, admin, anonymous):
        wait_for(page, TOASTS, ["Sale"])
        assert page.run("document.querySelector('.toast').dataset.tone") == "urgent"
    assert admin.text("#announce-note") == "Sent."


def test_an_announcement_to_shoppers_passes_anonymous_by(
    log_in: LogIn, server: Server, people: Arrive
) -> None:
    alice, admin, anonymous = log_in("alice"), log_in("admin"), people(server, "")
    admin.fill("#audience", "shoppers")
    announce(admin, "Members only")
    wait_for(alice, TOASTS, ["Members only"])
    admin.fill("#audience", "everyone")
    announce(admin, "All")
    wait_for(alice, TOASTS, ["Members only", "All"])
    wait_for(anonymous, TOASTS, ["All"])


def test_chat_is_between_two(log_in: LogIn) -> None:
    alice, bob, carol = log_in("alice"), log_in("bob"), log_in("carol")
    write(alice, "bob", "Hello Bob")
    wait_for(bob, MESSAGES, ["Hello Bob"])
    assert bob.text(".message-who") == "alice"
    wait_for(alice, MESSAGES, ["Hello Bob"])
    assert alice.text(".message-who") == "to bob"
    # The reply is addressed to the sender automatically.
    bob.fill("#message", "Hello Alice")
    bob.click("#chat button")
    wait_for(alice, MESSAGES, ["Hello Bob", "Hello Alice"])
    write(alice, "carol", "Hello Carol")
    wait_for(carol, MESSAGES, ["Hello Carol"])
    assert bob.run(MESSAGES) == ["Hello Bob", "Hello Alice"]


def test_a_joined_emoji_arrives_as_it_was_written(log_in: LogIn) -> None:
    jack, kim = log_in("jack"), log_in("kim")
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    write(jack, "kim", family)
    wait_for(kim, MESSAGES, [family])


def test_a_message_to_oneself_shows_once(log_in: LogIn) -> None:
    page = log_in("frank")
    write(page, "frank", "one")
    write(page, "frank", "two")
    wait_for(page, MESSAGES, ["one", "two"])


def test_what_could_not_be_sent_stays_in_its_field(log_in: LogIn) -> None:
    page = log_in("ida")
    write(page, " ", "keep this")
    page.wait("document.querySelector('#chat-note').textContent.includes(\"'to'\")")
    assert page.run("document.querySelector('#message').value") == "keep this"
    assert page.run(MESSAGES) == []


def test_markup_in_what_users_send_is_text(log_in: LogIn) -> None:
    evil = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
    alice, mallory, admin = log_in("alice"), log_in("<i>m"), log_in("admin")
    before = alice.run("document.querySelectorAll('img, script, i').length")
    write(mallory, "alice", evil)
    wait_for(alice, MESSAGES, [evil])
    announce(admin, evil)
    wait_for(alice, TOASTS, [evil])
    assert alice.text(".message-who") == "<i>m"
    assert alice.run("document.querySelectorAll('img, script, i').length") == before
    assert alice.run("window.hacked") is None


def test_a_message_for_somebody_away_is_there_when_they_come(
    log_in: LogIn, server: Server
) -> None:
    alice = log_in("alice")
    write(alice, "gina", "Are you there?")
    wait_for(alice, MESSAGES, ["Are you there?"])
    assert "waits" in alice.text("#chat-note")
    gina = log_in("gina")
    wait_for(gina, MESSAGES, ["Are you there?"])
    # Once it counts as delivered, it does not arrive a second time.
    eventually(lambda: waiting_for(server, "gina") == [])
    gina.run("sessionStorage.clear()")
    gina.go(server.url)
    wait_for(gina, STATE, "Live")
    write(alice, "gina", "Welcome")
    wait_for(gina, MESSAGES, ["Welcome"])


def test_nothing_is_asked_of_other_hosts(log_in: LogIn, server: Server) -> None:
    page = log_in("hugo")
    page.click("button.order")
    wait_for(page, STEPS, ["4/4"])
    addresses = page.requested()
    assert len(addresses) > 5
    assert [url for url in addresses if not url.startswith(server.url)] == []


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844), (320, 640)])
def test_nothing_sticks_out_sideways(log_in: LogIn, width: int, height: int) -> None:
    page = log_in("admin")
    page.resize(width, height)
    page.click("button.order")
    wait_for(page, STEPS, ["4/4"])
    write(page, "admin", "x" * 300)
    page.wait(f"{MESSAGES}.length")
    for name in ("Live", "Reconnecting"):
        page.run(f"document.querySelector('#state-word').textContent = '{name}'")
        assert page.run("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.chaos
@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_killed", [False, True])
def test_after_a_restart_the_page_catches_up(people: Arrive, is_killed: bool) -> None:
    with serve(
        *SHOP, environ={"DEMO_STEP_SECONDS": "1000", "SSE_PUSH_RETRY_MS": "100"}
    ) as server:
        port = server.url.rpartition(":")[2]
        alice = people(server, "alice")
        alice.click("[data-item='Desk Lamp']")
        wait_for(alice, STEPS, ["1/4"])
        if is_killed:
            server.process.kill()
        server.stop()
        wait_for(alice, STATE, "Reconnecting")
        assert alice.run(STEPS) == ["1/4"]
    # The order was completed while the page could receive no events.
    with serve(
        *SHOP, environ={"DEMO_STEP_SECONDS": "0"}, bind=f"127.0.0.1:{port}"
    ) as server:
        # Browsers wait longer after each failed attempt.
        wait_for(alice, STATE, "Live", seconds=40)
        wait_for(alice, STEPS, ["4/4"])
        wait_for(alice, TOASTS, ["You were away for a while"])
        bob = people(server, "bob")
        write(bob, "alice", "Back again")
        wait_for(alice, MESSAGES, ["Back again"])


@pytest.mark.redis
@pytest.mark.chaos
@pytest.mark.timeout(120)
def test_over_redis_nothing_sent_during_a_restart_is_missed(
    people: Arrive,
) -> None:
    with RedisServer() as redis:
        environ = {"SSE_PUSH_BACKEND_URL": redis.url, "SSE_PUSH_RETRY_MS": "100"}
        with serve(*SHOP, environ=environ) as others:
            with serve(*SHOP, environ=environ) as server:
                alice, bob = people(server, "alice"), people(others, "bob")
                write(bob, "alice", "one")
                wait_for(alice, MESSAGES, ["one"])
            wait_for(alice, STATE, "Reconnecting")
            write(bob, "alice", "two")
            wait_for(bob, MESSAGES, ["one", "two"])
            port = server.url.rpartition(":")[2]
            with serve(*SHOP, environ=environ, bind=f"127.0.0.1:{port}"):
                wait_for(alice, MESSAGES, ["one", "two"], seconds=40)
                wait_for(alice, STATE, "Live")
                assert alice.run(TOASTS) == []


@pytest.mark.redis
@pytest.mark.chaos
@pytest.mark.timeout(120)
@pytest.mark.parametrize("later_seconds", ["0", "3"])
def test_an_order_goes_on_although_its_server_has_ended(
    people: Arrive, later_seconds: str
) -> None:
    """The steps that the server had still to send never come."""
    with RedisServer() as redis:
        environ = {"SSE_PUSH_BACKEND_URL": redis.url, "SSE_PUSH_RETRY_MS": "100"}
        with serve(*SHOP, environ={**environ, "DEMO_STEP_SECONDS": "1000"}) as server:
            port = server.url.rpartition(":")[2]
            alice = people(server, "alice")
            alice.click("[data-item='Desk Lamp']")
            wait_for(alice, STEPS, ["1/4"])
            server.process.kill()
        wait_for(alice, STATE, "Reconnecting")
        # With 0 the order is complete when the page returns, with 3 it is under way.
        environ["DEMO_STEP_SECONDS"] = later_seconds
        with serve(*SHOP, environ=environ, bind=f"127.0.0.1:{port}"):
            wait_for(alice, STEPS, ["4/4"], seconds=60)
            assert alice.text(".order-status") == "Delivered"
            assert alice.run(TOASTS) == []


@pytest.mark.redis
def test_nobody_who_is_connected_reads_that_nobody_is(people: Arrive) -> None:
    """One worker learns of another's connections a moment later."""
    with RedisServer() as redis:
        environ = {"SSE_PUSH_BACKEND_URL": redis.url}
        with serve(*SHOP, environ=environ, arguments=("-w", "2")) as server:
            page = people(server, "leo")
            for _ in range(10):
                page.go(server.url)
                count = page.wait(
                    "(({ hidden, textContent }) => !hidden && textContent)"
                    "(document.querySelector('#count'))"
                )
                assert int(count.split()[0]) >= 1


@pytest.mark.redis
def test_two_workers_are_one_shop(people: Arrive) -> None:
    with RedisServer() as redis:
        environ = {"SSE_PUSH_BACKEND_URL": redis.url, "DEMO_STEP_SECONDS": "0.2"}
        with serve(*SHOP, environ=environ, arguments=("-w", "2")) as server:
            alice, bob = people(server, "alice"), people(server, "bob")
            # Any worker may answer; with six orders, both do.
            for count in range(1, 7):
                alice.click("[data-item='Desk Lamp']")
                wait_for(alice, STEPS, ["4/4"] * count)
            assert bob.run(STEPS) == []
            write(bob, "alice", "Six lamps?")
            wait_for(alice, MESSAGES, ["Six lamps?"])
