"""`overmem demo`."""

from contextlib import ExitStack

from rich.markup import escape

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import bar, print_text, quiet_libraries, say, stdout
from overmem.cli.verdict_screen import show_verdict
from overmem.demo import Demo, demo

COMMAND = Demo
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Run the demo, announce every step, and print the path of the report."""
    config = parse_options(Demo, arguments, "demo")
    quiet_libraries()
    step = 0

    def announce(description: str, command: str) -> None:
        nonlocal step
        step += 1
        bars.close()
        print_text(stdout, f"\n[bold]{step}. {escape(description)}[/]")
        stdout.print(f"   [dim]$ {escape(command)}[/]", soft_wrap=True)  # one line, to be copied

    with ExitStack() as bars:
        page = demo(config, announce=announce, say=say, progress=lambda: bars.enter_context(bar()), show=show_verdict)
    stdout.print(f"\n[bold]Report:[/] {escape(str(page.resolve()))}", soft_wrap=True)
    stdout.print("On your own run: overmem audit RUN --data YOUR_DATA", soft_wrap=True)
    return 0
