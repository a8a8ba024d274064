"""`overmem demo`."""

from contextlib import ExitStack

from rich.markup import escape

from overmem.cli import Arguments, parsed
from overmem.cli.screen import bar, quiet_libraries, say, show_verdict, stdout
from overmem.demo import Demo, demo


def run(arguments: Arguments) -> int:
    """Tell the story step by step and print where the report is."""
    quiet_libraries()
    config = parsed(Demo, arguments, "demo")
    step = 0

    def tell(why: str, command: str) -> None:
        nonlocal step
        step += 1
        bars.close()
        stdout.print(f"\n[bold]{step}. {escape(why)}[/]\n   [dim]$ {escape(command)}[/]", soft_wrap=True)

    with ExitStack() as bars:
        page = demo(config, tell=tell, say=say, progress=lambda: bars.enter_context(bar()), show=show_verdict)
    stdout.print(
        f"\n[bold]Report:[/] {escape(str(page.resolve()))}\nOn your own run: overmem audit RUN --data YOUR_DATA"
    )
    return 0
