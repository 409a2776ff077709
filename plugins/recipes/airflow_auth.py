"""Airflow: `HttpHook`, and the operators over it, call their `auth_type` with the connection's login and password.

HttpHook("GET", http_conn_id="supplier", auth_type=supplier)
"""

import functools

import authflow


@functools.cache
def supplier(login, password):
    return authflow.AuthSession("supplier", username=login, password=password, store="file").requests
