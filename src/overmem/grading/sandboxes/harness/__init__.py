"""What runs inside a sandbox: a folder of plain scripts that do not import overmem.

A program and tests that need more than its plain results run in two processes, each in a sandbox of its own. The
tests' process holds proxies for the program's functions; each call is sent to the program's process as data, and the
result comes back as data. So a program never sees what is expected, and cannot change what its tests do.
"""
