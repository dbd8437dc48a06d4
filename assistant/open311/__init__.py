"""Open311 GeoReport v2 on the server's side: the wire, the services of a city, and the server for third parties.

`wire`, `input`, `xml` and `services` know the format alone; the dispatch desk is served with them too. `public` is the
city's server at `/open311/v2`: what is filed there becomes a ticket through the ticket service, and what is shown is
what `published` reads of tickets.
"""
