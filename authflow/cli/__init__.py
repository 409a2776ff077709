"""The command line, `authflow`. Its packages, click and rich, come with the extra `cli`.

    group, verbs          the command, and its verbs by name
    tokens, authors       login, token, logout; check, show, new, vendors, schema, demo
    request, status, simulate, doctor, completion: a verb each; `needs` says what is not installed
    front, exits          the way in and out: streams, any error as one line, exit codes
    options, desk, spans  what the verbs have in common: options, prompts and progress, lengths of time
    accounts, sources     the config file: an account is a vendor, a store, and where its secrets are fetched
    fetching              a request that carries the token        explore   what `check --explore` shows
    against               the real vendor asked, for `check --against`
    scaffold              what `authflow new` writes              demo      all of it at work; `demo_page` shows it

What a command needs is imported when it runs, so that `--version` is quick. Nobody imports from here.
"""


def main() -> None:
    """The entry point of the `authflow` command."""
    from authflow.cli.group import main

    main()


__all__ = ["main"]
