"""File formats that a finished stage can be exported to: one file a format, `catalogue` lists them."""
