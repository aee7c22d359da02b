"""How a Python kernel is started, in a sandbox or without one."""

# Run inside of every new kernel. The workspace's modules come last, so that none takes the place
# of one of Python's own; printed text is passed on in pieces and not hoarded.
PRELUDE = """
def _prelude(piece=65536):
    import functools
    import sys

    sys.path.append("")
    kind = type(sys.stdout)
    write = kind.write

    def write_pieces(stream, text):
        if not isinstance(text, str) or not text:
            return write(stream, text)
        for start in range(0, len(text), piece):
            waiting = getattr(stream, "waiting", 0)
            waiting += write(stream, text[start : start + piece]) or 0
            if waiting >= piece:
                stream.flush()
                waiting = 0
            stream.waiting = waiting
        return len(text)

    # Not to be replaced: IPython would do so to keep a copy of everything
    kind.write = property(
        lambda stream: functools.partial(write_pieces, stream), lambda stream, other: None
    )


_prelude()
del _prelude
"""


def kernel_command(python: str, connection_file: str) -> tuple[str, ...]:
    """IPython's kernel, isolated from files in its folder, with plain tracebacks, no history."""
    return (
        python, "-I", "-m", "ipykernel_launcher", "-f", connection_file,
        "--HistoryManager.enabled=False",
        "--IPKernelApp.ignore_cwd=True",
        "--InteractiveShell.xmode=Plain",
        "--InteractiveShell.colors=nocolor",
    )  # fmt: skip
