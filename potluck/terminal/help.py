"""Examples and exit codes, as `--help` shows them below the options."""

from collections.abc import Mapping

EXIT_CODES: Mapping[int, str] = {
    0: "all is well",
    1: "it failed, or something is to be mended: the message says what",
    2: "wrong words on the command line",
    3: "usage: no model can be asked now; models --refresh: one is gone; eval: a run is unfinished",
    4: "chat: the question waits for your approval",
    130: "stopped with Ctrl-C",
}
EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "serve": {
        "potluck serve": "on http://127.0.0.1:8123",
        "potluck serve --port 0": "on any free port",
    },
    "chat": {
        "potluck chat": "a conversation",
        'potluck chat "What is 17*23?"': "one question",
        'cat notes.txt | potluck chat "Sum this up"': "about what comes through a pipe",
        "potluck chat --last": "go on where you left",
        'potluck chat --thread trip "And by train?"': "a thread with a name of your own",
        'potluck chat "Write a haiku" > haiku.txt': "only the answer goes into the file",
        'potluck chat --json "What is 17*23?" | jq .answer': "for programs",
    },
    "check": {
        "potluck check": "what works, what does not, and the fix",
        "potluck check --no-calls": "without spending quota",
        "potluck check --json | jq .ok": "for programs",
    },
    "models": {
        "potluck models": "the catalog, what is on first",
        "potluck models --refresh": "what is new, gone or replaced",
    },
    "usage": {
        "potluck usage": "quota left, and what was used today",
        "potluck usage --days 7 --json": "a week, for programs",
        "potluck usage --resume trip": "a parked run goes on at once",
    },
    "notes": {
        "potluck notes": "with the id of each",
        "potluck notes --forget 4f2a": "delete one",
    },
    "prune": {
        "potluck prune --dry-run": "what is too old or too much",
        "potluck prune": "delete it now",
    },
    "backup": {
        "potluck backup potluck.backup": "all that is kept, in one file",
        "potluck backup --force potluck.backup": "in the place of an older one",
    },
    "restore": {
        "potluck restore potluck.backup": "into an empty data folder",
        "potluck restore --force potluck.backup": "in the place of what is there",
    },
    "simulate": {
        "potluck simulate": "then serve with POTLUCK_SIMULATOR set",
        "potluck simulate --speed 60": "an hour's quota in a minute",
    },
    "eval": {
        "potluck eval --simulated strong": "without any key",
        "potluck eval --class chat --yes": "with your models",
    },
}


def epilog(command: str) -> str:
    """The examples of a command, one a line, in rich's markup."""
    examples = EXAMPLES[command]
    width = max(map(len, examples))
    lines = [f"  {line.ljust(width)}  [dim]{does}[/dim]" for line, does in examples.items()]
    return "\n".join(["[bold]Examples[/bold]", *lines])


def exit_codes() -> str:
    """The exit codes of all commands, in rich's markup."""
    lines = [f"  {code:>3}  [dim]{means}[/dim]" for code, means in EXIT_CODES.items()]
    return "\n".join(["[bold]Exit codes[/bold]", *lines])
