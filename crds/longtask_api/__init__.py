"""The LongTask API (group longtask.dev): the one source of truth for both servers and for the CRDs."""
