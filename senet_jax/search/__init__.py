"""What is nearest to a query, exactly or about."""
