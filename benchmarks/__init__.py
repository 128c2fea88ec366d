"""Benchmarks: this project and other ways to push events to many browsers.

``python -m benchmarks`` runs every server in turn, each alone on one core with the
load on another, and prints one table. ``docs/performance.rst`` explains the figures.
"""
