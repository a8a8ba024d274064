"""Programs that attempt what a sandbox must deny: name -> (source, allowed statuses).

`{secret}` is a file outside, `{target}` a path outside that must not be created, `{port}` a listening socket. If an
attempt succeeds, the status is `right`.
"""

DENIED = ("refused", "error", "wrong")
LIMITED = ("error", "timeout", "refused")
HARMLESS = ("right", *LIMITED)
"""The call may succeed, because it reaches no process outside: a signal from inside a sandbox."""
_LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_MUST = "\nassert result == 0, 'denied'"

PROGRAMS = {
    "tcp": ("import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)", DENIED),
    "tcp over ipv6": ("import socket\nsocket.create_connection(('::1', {port}), 1)", DENIED),
    "udp": (
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(b'x', ('127.0.0.1', {port}))",
        DENIED,
    ),
    "http": ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}', timeout=1)", DENIED),
    "a name server": ("import socket\nsocket.getaddrinfo('example.org', 80)", DENIED),
    "a raw socket": ("import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)", DENIED),
    "listening for others": ("import socket\nsocket.create_server(('0.0.0.0', 0))\nassert False", DENIED),
    "read a file": ("open({secret!r}).read()", DENIED),
    "read the passwords": ("open('/etc/shadow').read()", DENIED),
    "list the home folder": ("import os\nos.listdir(os.path.dirname({secret!r}))", DENIED),
    "read through proc/self/root": ("open('/proc/self/root' + {secret!r}).read()", DENIED),
    "read through proc/1/root": ("open('/proc/1/root' + {secret!r}).read()", DENIED),
    "read another's environment": (
        "import glob\npaths = glob.glob('/proc/*/environ')\nassert [open(p).read() for p in paths]",
        DENIED,
    ),
    "write a file": ("open({target!r}, 'w').write('x')", DENIED),
    "write into Python": ("import os, json\nopen(json.__file__, 'a').write('x')", DENIED),
    "a link to a file outside": ("import os\nos.symlink({secret!r}, '/tmp/link')\nopen('/tmp/link').read()", DENIED),
    "a hard link": ("import os\nos.link({secret!r}, '/tmp/hard')", DENIED),
    "a device": ("open('/dev/sda', 'rb').read(1)", DENIED),
    "make a device": ("import os, stat\nos.mknod('/tmp/disk', 0o666 | stat.S_IFBLK, os.makedev(8, 0))", DENIED),
    "memory of the machine": ("open('/dev/mem', 'rb').read(1)", DENIED),
    "a fork bomb": ("import os\nwhile True:\n    os.fork()", LIMITED),
    "fork by libc": (_LIBC + "pid = libc.fork()\nassert pid > 0, 'denied'", DENIED),
    "vfork and exec": ("import os\nos.posix_spawn('/bin/sh', ['sh', '-c', 'true'], {{}})", DENIED),
    "a shell": ("import os\nassert os.system('true') == 0, 'denied'", DENIED),
    "a process pool": ("import multiprocessing\nmultiprocessing.Pool(2).map(abs, [1])", LIMITED),
    "clone by number": (_LIBC + "result = 0 if libc.syscall(56, 17, 0, 0, 0, 0) > 0 else 1" + _MUST, DENIED),
    "end every process": ("import os, signal\nos.kill(-1, signal.SIGKILL)", HARMLESS),
    "end the parent": ("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", HARMLESS),
    "ptrace": (_LIBC + "result = libc.ptrace(16, 1, 0, 0)" + _MUST, DENIED),
    "mount": (_LIBC + "result = libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)" + _MUST, DENIED),
    "new namespaces": (_LIBC + "result = libc.unshare(0x10000000)" + _MUST, DENIED),
    "io_uring": (_LIBC + "result = -1 if libc.syscall(425, 8, 0) < 0 else 0" + _MUST, DENIED),
    "bpf": (_LIBC + "result = -1 if libc.syscall(321, 0, 0, 0) < 0 else 0" + _MUST, DENIED),
    "keyring": (_LIBC + "result = -1 if libc.syscall(250, 0, -3, 1) < 0 else 0" + _MUST, DENIED),
    "raise its own limits": ("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", DENIED),
    "memory": ("x = []\nwhile True:\n    x.append(bytearray(1 << 24))", LIMITED),
    "mapped memory": ("import mmap\nx = [mmap.mmap(-1, 1 << 28) for _ in range(64)]", LIMITED),
    "fill the disk": (
        "for i in range(1000):\n    open(f'/tmp/{{i}}', 'wb').write(bytes(1 << 20))",
        LIMITED,
    ),
    "a flood of output": ("import sys\nwhile True:\n    sys.stdout.write('x' * 65536)", LIMITED),
    "a flood of errors": ("raise ValueError('x' * (1 << 24))", ("error",)),
    "an endless loop": ("while True:\n    pass", LIMITED),
    "sleeping": ("import time\ntime.sleep(3600)", LIMITED),
    "a loop in C": ("x = 9 ** 9 ** 9", LIMITED),
    "a regular expression": ("import re\nre.match('(a+)+$', 'a' * 64 + 'b')", LIMITED),
    "exit before the tests": ("import sys\nsys.exit(0)", ("error",)),
    "exit at once": ("import os\nos._exit(0)", ("error",)),
    "forge the reply": (
        "import os\nfor fd in range(3, 9):\n    try: os.write(fd, b'right\\n')\n    except OSError: pass\nos._exit(0)",
        ("error",),
    ),
    "swallow signals": (
        "import signal as s\nfor n in (s.SIGALRM, s.SIGXCPU, s.SIGTERM):\n    s.signal(n, s.SIG_IGN)\n"
        "while True:\n    pass",
        LIMITED,
    ),
}
