"""A supplier to run against: `python -m authflow_supplier.server`.

Written by hand, and on purpose not from the vendor file, so that the two check each other. Imports run downward:

    __main__      the process: options, two listeners, an orderly end
    connection    one client: request after request, and the failures that break a connection
    service       paths, counts, and what `/__control` can order
    faults        failures on order
    parcels       the data behind the login
    issuer        who may log in, and which tokens are good
    wire          HTTP/1.1, read and written
"""
