"""The check of a sandbox: it must deny these attempts before it is used."""

import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

from overmem.grading.sandboxes.program import Limits, Program, Sandbox

LIMITS = Limits(seconds=3.0)
_CONTROL = Program("def double(x):\n    return 2 * x", "assert double(21) == 42")
_PROCESSES = "import os\nfor _ in range(16):\n    if os.fork() == 0:\n        os._exit(0)"
_COMMAND = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)"


def failed_check(sandbox: Sandbox) -> str:
    """Why a sandbox fails its check (what it does not deny, or no correct program runs); empty if it passes.

    The check creates a private file, a folder and a listening socket, which the sandbox must not reach.
    """
    if (control := sandbox.run(_CONTROL, LIMITS)).status != "right":
        return f"it does not run a correct program: {control.status} {control.detail}".rstrip()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.home())))
        secret, target = folder / "secret", folder / "written"
        secret.write_text("secret")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        attempts = {
            "reading a file outside": f"open({str(secret)!r}).read()",
            "writing a file outside": f"open({str(target)!r}, 'w').write('x')",
            "reaching a socket": f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1.0)",
            "starting processes": _PROCESSES,
            "starting a command": _COMMAND,
        }
        for name, source in attempts.items():
            if sandbox.run(Program(source, ""), LIMITS).status == "right":
                return f"it does not deny {name}"
        if target.exists():
            return "it does not deny writing a file outside"
        listener.settimeout(0.0)
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return ""
        return "it does not deny reaching a socket"
