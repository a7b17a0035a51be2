"""What the HTTP API asks of the database, and what it writes there. A constant number of queries for any request."""
