"""FastAPI: one session for the application, one client for its life.

A vendor that is down becomes a 503 that says when to try again.
"""

from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

import authflow

session = authflow.AuthSession("supplier", username="demo", password="open-sesame", store="file")


@asynccontextmanager
async def lifespan(app):
    async with httpx.AsyncClient(auth=session.httpx, follow_redirects=True) as app.state.supplier:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/deliveries/{id}")
async def delivery(id: int, request: Request):
    answer = await request.app.state.supplier.get(f"https://api.supplier.example/api/v1/auth/deliveries/{id}")
    return answer.json()


@app.exception_handler(authflow.VendorUnavailable)
async def unavailable(request, error):
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(round(error.retry_after or 30))})
