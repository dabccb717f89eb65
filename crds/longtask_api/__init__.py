"""The LongTask API (group longtask.dev): the models that both servers use and the CRDs are generated from."""
