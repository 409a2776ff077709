"""What the layer costs, beside a floor and beside every peer: a file per question, each run by `make bench` or singly.

    python -m benchmarks [--short]              all of them but the soak, one after another
    python -m benchmarks.hot_path [--short]     one of them

    hot_path      what one authorised request costs              import        what an import costs
    contention    the same, many at once, on a good token        template      render and match, growing documents
    storm         many at once, on a token that is no good       accounts      one session to a hundred thousand
    presentations what is no bearer                              signing       what is signed
    start         a process before its first answer              costs         README's figures, from the results
    ahead         requests across a renewal                      fleet, soak   many processes; ten bad minutes
    renewal       one renewal, beside the bare POST              growth        what grows with records, files, answers

Below them: `peers` (each set up as its documentation recommends, the floor and authflow among them), `near_end` (the
clients' transports without a network), `endpoint` (a strict token server, a process of its own), `measure` (fresh
interpreters, alternating batches), `report` and `chart` (what is printed, kept and drawn). A timing is never asserted:
machines wander. It is a ratio against a floor in the same run, the median over fresh interpreters.
"""
