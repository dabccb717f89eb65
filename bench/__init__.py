"""What LongTask costs, measured beside the same Jobs made raw, in one run on one cluster."""
