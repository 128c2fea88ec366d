"""The shop's products. ``art`` names a drawing in ``templates/art.svg``."""

from __future__ import annotations

from typing import NamedTuple


class Product(NamedTuple):
    """One article; ``price`` in euros."""

    name: str
    price: int
    text: str
    art: str


PRODUCTS = (
    Product("Morning Mug", 14, "Stoneware, holds one slow start.", "mug"),
    Product("Desk Lamp", 48, "Warm light, bends to your work.", "lamp"),
    Product("Potted Fern", 22, "Forgives a forgotten watering.", "plant"),
    Product("Dot Notebook", 9, "120 pages that lie flat.", "notebook"),
    Product("Wall Clock", 36, "Silent hands, no ticking.", "clock"),
    Product("Round Teapot", 31, "Pours six cups, drips none.", "teapot"),
)
