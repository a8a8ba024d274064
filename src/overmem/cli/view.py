"""`overmem view RUN...`."""

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import say, stdout
from overmem.view import View

COMMAND = View
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Serve until Ctrl-C."""
    config = parse_options(View, arguments, "view")
    from overmem.view import open_server  # polars loads after the options have been checked

    server = open_server(config)
    server.read_ahead()
    stdout.print(server.address, soft_wrap=True, markup=False, highlight=False)
    if not server.is_loopback:
        say("everybody who can reach this machine can read these runs at this address")
    say("open this address in a browser; Ctrl-C stops")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        say("stopped")
    finally:
        server.server_close()
    return 0
