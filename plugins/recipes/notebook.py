"""A notebook's cells. The password is asked for when it is first needed, and stands in no cell.

After a restart of the kernel the store has the token, and nobody is asked.
"""

# %%
import getpass

import httpx

import authflow

session = authflow.AuthSession(
    "supplier", username="demo", password=lambda: getpass.getpass("Password: "), store="file"
)
client = httpx.AsyncClient(auth=session.httpx, follow_redirects=True)

# %%
answer = await client.get("https://api.supplier.example/api/v1/auth/deliveries/42")  # noqa: F704
answer.json()
