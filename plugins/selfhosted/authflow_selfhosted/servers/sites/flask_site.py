"""A Flask application behind Flask-JWT-Extended: login, refresh, logout, and a view that needs a token."""

import os
from datetime import timedelta

from flask import Flask, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt,
    get_jwt_identity,
    jwt_required,
)

USERNAME, _, PASSWORD = os.environ["ACCOUNT"].partition(":")

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = "a key for this one run, long enough for HS256"
app.config["JWT_ACCESS_TOKEN_EXPIRES"] = timedelta(seconds=int(os.environ["LIFETIME"]))
jwt = JWTManager(app)
revoked: set = set()


@jwt.token_in_blocklist_loader
def is_revoked(header, claims):
    return claims["jti"] in revoked


@app.post("/login")
def login():
    given = request.get_json()
    if (given["username"], given["password"]) != (USERNAME, PASSWORD):
        return {"msg": "Bad username or password"}, 401
    return {
        "access_token": create_access_token(USERNAME, fresh=True),
        "refresh_token": create_refresh_token(USERNAME),
    }


@app.post("/refresh")
@jwt_required(refresh=True)
def refresh():
    return {"access_token": create_access_token(get_jwt_identity(), fresh=False)}


@app.delete("/logout")
@jwt_required(verify_type=False)
def logout():
    revoked.add(get_jwt()["jti"])
    return {"msg": "logged out"}


@app.get("/me")
@jwt_required()
def me():
    return {"username": get_jwt_identity()}


@app.get("/me/fresh")
@jwt_required(fresh=True)
def me_fresh():
    return {"username": get_jwt_identity()}
