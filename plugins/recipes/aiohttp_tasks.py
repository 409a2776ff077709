"""aiohttp: the session is a client middleware, and many tasks share one token. aiohttp's own `auth=` stays empty."""

import asyncio

import aiohttp

import authflow

session = authflow.AuthSession("supplier", username="demo", password="open-sesame")


async def status(client, id):
    async with client.get(f"https://api.supplier.example/api/v1/auth/deliveries/{id}") as answer:
        return (await answer.json())["status"]


async def statuses(ids):
    async with aiohttp.ClientSession(middlewares=[session.aiohttp]) as client:
        return await asyncio.gather(*(status(client, id) for id in ids))


deliveries = asyncio.run(statuses([42, 43, 44]))
