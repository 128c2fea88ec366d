"""The example shop for those who use a keyboard, a screen reader or little contrast."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import pytest

from tests.support.browser import Browser, Page
from tests.support.servers import Server, serve
from tests.support.shop import SHOP, STEPS, TOASTS, announce, visitors, wait_for, write

pytestmark = pytest.mark.browser

AXE = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
FOCUS = "document.activeElement"
CLOSE = "[...document.querySelectorAll('.toast .close')]"


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(*SHOP, environ={"DEMO_STEP_SECONDS": "0.05"}) as server:
        yield server


@pytest.fixture
def admin(browser: Browser, server: Server) -> Iterator[Page]:
    with visitors(browser) as arrive:
        yield arrive(server, "admin")


def violations(page: Page) -> list[object]:
    page.run(f"{AXE};0")
    found: list[object] = page.run(
        """axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
             violations.map(({ id, nodes }) => [id, ...nodes.map((node) =>
               [node.html, node.failureSummary])]))"""
    )
    return found


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_axe_finds_nothing(
    browser: Browser,
    server: Server,
    admin: Page,
    width: int,
    height: int,
    is_dark: bool,
) -> None:
    admin.resize(width, height)
    admin.prefer(dark=is_dark)
    for number in range(1, 6):
        admin.click(f".card:nth-child({number}) .order")
    wait_for(admin, STEPS, ["4/4"] * 5)
    write(admin, "admin", "x" * 400)
    write(admin, "nobody", "Are you there?")
    admin.wait("document.querySelector('#chat-note').textContent")
    admin.run("document.querySelectorAll('.toast').forEach((toast) => toast.remove())")
    for priority in ("low", "medium", "high"):
        announce(admin, f"Sale, {priority}", priority)
        admin.wait(f"{TOASTS}.includes('Sale, {priority}')")
    settle(admin)
    assert violations(admin) == []
    anonymous = browser.page(server.url, width=width, height=height, dark=is_dark)
    anonymous.wait("document.querySelector('#state').dataset.state === 'open'")
    settle(anonymous)
    assert violations(anonymous) == []
    anonymous.close()


def settle(page: Page) -> None:
    """Wait for what fades in: its contrast is low for a moment."""
    page.run(
        """Promise.allSettled(document.getAnimations().filter(
             (animation) => animation.effect.getComputedTiming().endTime < Infinity
           ).map((animation) => animation.finished))"""
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_every_control_has_a_name(admin: Page, width: int) -> None:
    admin.resize(width, 844)
    nameless = admin.run(
        """[...document.querySelectorAll("button, input, select, textarea, a")].filter(
             (e) => !(e.labels?.length || e.ariaLabel || e.innerText.trim())
           ).map((e) => e.outerHTML)"""
    )
    assert nameless == []


def test_the_focus_stays_on_the_order_button(admin: Page) -> None:
    admin.run("document.querySelector('[data-item=\"Desk Lamp\"]').focus()")
    for count in (1, 2):
        admin.press("Enter")
        wait_for(admin, STEPS, ["4/4"] * count)
        assert admin.run(f"{FOCUS}.dataset.item") == "Desk Lamp"


def test_a_double_click_places_one_order(admin: Page) -> None:
    twice = "document.querySelector('button.order').click();" * 2
    admin.run(f"{twice} 0")
    wait_for(admin, STEPS, ["4/4"])
    admin.click("[data-item='Wall Clock']")
    wait_for(admin, STEPS, ["4/4", "4/4"])


def test_dismissing_leads_to_the_next_notice_and_back(admin: Page) -> None:
    for title in ("One", "Two", "Three"):
        announce(admin, title, "high")
        admin.wait(f"{TOASTS}.includes('{title}')")
    admin.run("document.querySelector('#to').focus()")
    admin.run(f"{CLOSE}[1].focus()")
    admin.press("Enter")
    wait_for(admin, TOASTS, ["One", "Three"])
    assert admin.run(f"{FOCUS} === {CLOSE}[1]")
    admin.press("Enter")
    wait_for(admin, TOASTS, ["One"])
    assert admin.run(f"{FOCUS} === {CLOSE}[0]")
    admin.press("Enter")
    wait_for(admin, TOASTS, [])
    assert admin.run(f"{FOCUS}.id") == "to"


def test_dismissing_where_nothing_had_the_focus_leads_to_the_content(
    admin: Page,
) -> None:
    announce_by_script(admin, "One")
    wait_for(admin, TOASTS, ["One"])
    admin.click(".toast .close")
    wait_for(admin, TOASTS, [])
    assert admin.run(f"{FOCUS}.tagName") == "MAIN"


@pytest.mark.parametrize("width", [1280, 390])
def test_more_notices_do_not_take_away_the_one_with_the_focus(
    admin: Page, width: int
) -> None:
    admin.resize(width, 844)
    announce(admin, "0", "high")
    wait_for(admin, TOASTS, ["0"])
    admin.run(f"{CLOSE}[0].focus()")
    for number in range(1, 6):
        announce_by_script(admin, str(number))
        admin.wait(f"{TOASTS}.includes('{number}')")
    assert (
        admin.run(f"{FOCUS}.closest('.toast')?.querySelector('b').textContent") == "0"
    )


def announce_by_script(page: Page, title: str) -> None:
    """Announce without moving the focus."""
    page.run(
        f"""fetch("/admin/announce", {{
          method: "POST",
          body: new URLSearchParams(
            {{ title: "{title}", content: "x", priority: "high" }}
          ),
        }}).then(() => 0)"""
    )
