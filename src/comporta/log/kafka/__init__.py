"""A log in a Kafka topic."""
