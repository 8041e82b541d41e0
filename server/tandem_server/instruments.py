"""What the server measures. The names are a promise: dashboards and alerts are made of them; README.md lists them."""

from __future__ import annotations

from tandem_proto.measuring import METER, Tally, seconds

CALL_SECONDS = seconds("rpc.server.call.duration", "How long calls took, by method and code.")
CLAIM_SECONDS = seconds("tandem.claim.duration", "How long it took to lease a batch of orders.")
CONNECTION_WAIT = seconds("db.client.connection.wait_time", "How long units of work waited for a connection.")
OPEN_STREAMS = METER.create_up_down_counter("tandem.open_streams", "{stream}", "Streams that are open, by method.")
ORDER_EVENTS = Tally(
    "tandem.order.events", "{event}", "What happened to orders, as on their timelines.", "tandem.event"
)
ACKNOWLEDGEMENTS = Tally(
    "tandem.acknowledgements", "{acknowledgement}", "What became of acknowledgements.", "tandem.outcome"
)
IMPORT_ROWS = Tally("tandem.import.rows", "{row}", "What became of the rows of imports.", "tandem.outcome")
WEBHOOKS = Tally("tandem.webhooks", "{event}", "What became of verified webhooks.", "tandem.outcome")
DELETED_ROWS = Tally("tandem.deleted_rows", "{row}", "Rows that were deleted because of their age.", "tandem.kind")
