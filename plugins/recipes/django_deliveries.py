"""Django and Celery: one session for the views and the tasks, in a module of its own. In settings.py stands

    SUPPLIER = {"username": "demo", "password": os.environ["SUPPLIER_PASSWORD"], "store": "file"}

All workers of a machine share the token with `"store": "file"`, those of many machines with `"store": "redis://…"`.
A session may be made before a fork.
"""

import requests
from celery import shared_task
from django.conf import settings
from django.http import JsonResponse

import authflow

session = authflow.AuthSession("supplier", **settings.SUPPLIER)


def delivery(id):
    url = f"https://api.supplier.example/api/v1/auth/deliveries/{id}"
    return requests.get(url, auth=session.requests, timeout=30).json()


def view(request, id):
    return JsonResponse(delivery(id))


@shared_task(bind=True, max_retries=5)
def watch(self, id):
    try:
        return delivery(id)["status"]
    except authflow.VendorUnavailable as error:  # and not CredentialsRefused: that needs a person
        raise self.retry(exc=error, countdown=error.retry_after or 30) from None
