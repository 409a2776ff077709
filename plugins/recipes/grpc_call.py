"""gRPC takes a token for each call: a call credentials plugin asks the session, which has it at hand."""

import grpc

import authflow

session = authflow.AuthSession("supplier", username="demo", password="open-sesame")


class Bearer(grpc.AuthMetadataPlugin):
    def __call__(self, context, callback):
        try:
            callback((("authorization", f"Bearer {session.token().access}"),), None)
        except Exception as error:
            callback((), error)


credentials = grpc.composite_channel_credentials(
    grpc.local_channel_credentials(), grpc.metadata_call_credentials(Bearer())
)  # over a network: grpc.ssl_channel_credentials()
