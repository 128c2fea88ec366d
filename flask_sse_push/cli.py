"""The commands of ``flask sse``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

import click
from flask.cli import AppGroup, ScriptInfo

from .application.checks import check_application, wrong_setting
from .errors import ConfigError
from .findings import Finding, Level

commands = AppGroup("sse", help="Server-Sent Events: check the installation.")

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


# The command loads the application itself, to report an error of loading as a finding.
@commands.command("check", with_appcontext=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Check the configuration, the installed extras and the backend.

    Run it before a deployment, in the environment of the server. It prints each finding
    and what to do about it. The exit status is 1 if a finding is an error, else 0.
    """
    findings = _findings(context.ensure_object(ScriptInfo))
    is_ok = all(finding.level is not Level.ERROR for finding in findings)
    if as_json:
        report = {"ok": is_ok, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(report, indent=2))
    else:
        _print(findings)
    context.exit(0 if is_ok else 1)


def _findings(info: ScriptInfo) -> list[Finding]:
    try:
        app = info.load_app()
    except ConfigError as failure:
        return [wrong_setting(failure)]
    with app.app_context():
        return list(check_application(app))


def _print(findings: Iterable[Finding]) -> None:
    for finding in findings:
        level = click.style(f"{finding.level:<8}", fg=_COLOURS[finding.level])
        click.echo(f"{level} {finding.subject:<9} {finding.message}")
        if finding.remedy:
            click.echo(f"{'':<18} {finding.remedy}")
